"""The part of the operator API that shows what an agent's system is made of."""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
from fastapi import FastAPI

from hyperhive.errors import HiveError
from hyperhive.hive.hive import Hive
from hyperhive.hive.proposable import check_takes_proposals
from hyperhive.shapes import ConfigAnswer


def add_config(app: FastAPI, hive: Hive) -> None:
    """Add the route."""

    @app.get("/api/agents/{name}/config")
    async def config(name: str) -> ConfigAnswer:
        """The files of the configuration that runs, as git has them in `main`; the note says what they build upon."""
        agent = hive.lifecycle.find(name)
        try:
            commit = await hive.repos.main(agent.name)
            files = await hive.repos.files(agent.name, commit)
        except HiveError as error:
            return ConfigAnswer(note=str(error))
        return ConfigAnswer(files=files, note=_note(hive, agent.name, commit))


def _note(hive: Hive, name: str, commit: str) -> str:
    declared = hive.settings.agents.get(name)
    base = "the base of every agent (harness-base.nix)"
    if declared is not None and declared.config_file is not None:
        base += f" and {declared.config_file}"
    elif declared is not None and declared.system is not None:
        base += " and the config of its declaration"
    told = f"Commit {commit[:12]}, on top of {base}."
    if hive.runtime.name != "nixos-container":
        told += f" The runtime {hive.runtime.name} builds no systems: it is kept, and nothing of it runs here."
    try:
        check_takes_proposals(hive, name)
    except HiveError as error:
        told += f" {error.message[:1].upper()}{error.message[1:]}."
    return told
