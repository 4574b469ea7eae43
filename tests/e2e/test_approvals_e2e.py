"""The manager, the real claude, edits a configuration, commits and asks; is denied, mends it, and is approved."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from swarm import Swarm, swarm

from hyperhive.hive.git import program

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.client import HiveClient

_GIT = "git -c user.name=manager -c user.email=manager@hive"


def _scenario(config: str) -> dict[str, Any]:
    def proposal(content: str, why: str) -> list[Any]:
        write = f"cd {config} && printf '%s\\n' '{content}' > agent.nix"
        command = f"({write} && {_GIT} commit -qam '{why}' && git rev-parse HEAD)"
        return [
            {"tool": "Bash", "input": {"command": command}},
            {
                "tool": "request_apply_commit",
                "input": {"agent": "alice", "commit": "{tool_result}", "description": why},
            },
        ]

    def resolved(status: str) -> str:
        return f'"approval_resolved", "id": (?P<id>\\d+), .*"status": "{status}", "reason": "?(?P<why>[^"]*)'

    return {
        "agents": {
            "manager": {
                "rules": [
                    {"when": "alice needs an editor", "steps": proposal("[ emacs ]", "an editor for alice")},
                    {
                        "when": resolved("denied"),
                        "steps": [
                            *proposal("[ vim ]", "vim for alice"),
                            {"tool": "send", "input": {"to": "operator", "body": "mended, because: {why}"}},
                        ],
                    },
                    {
                        "when": resolved("deployed"),
                        "steps": [{"tool": "send", "input": {"to": "operator", "body": "approval {id} runs"}}],
                    },
                    {
                        "when": "we need a coder",
                        "steps": [
                            {
                                "tool": "request_spawn",
                                "input": {"name": "coder", "description": "writes code", "model": "haiku"},
                            },
                            "{tool_result}",
                        ],
                    },
                ]
            },
            "coder": {
                "rules": [
                    {
                        "when": "this is your first turn",
                        "steps": [{"tool": "send", "input": {"to": "operator", "body": "I write code"}}],
                    }
                ]
            },
        }
    }


async def _asked(up: Swarm, number: int) -> None:
    await up.until(lambda e: e.type == "approval" and e.data["id"] == number and e.data["status"] == "pending")


async def test_from_the_request_to_the_decision_to_what_runs(tmp_path: Path, runtime: str) -> None:
    place = "/agents" if runtime == "bubblewrap" else str(tmp_path / "state" / "proposed")
    scenario = _scenario(f"{place}/alice/config")
    agents = {"alice": {}}
    async with (
        swarm(tmp_path, scenario, runtime=runtime, agents=agents, manager=True) as up,
        up.client() as client,
    ):
        await client.send("manager", "alice needs an editor")
        await _asked(up, 1)
        first = await client.approval(1)
        assert (first.kind, first.agent, first.requested_by) == ("apply", "alice", "manager")
        assert first.description == "an editor for alice"
        assert first.diff is not None
        assert "+[ emacs ]" in first.diff
        assert [file.path for file in first.files] == ["agent.nix"]
        assert first.build is not None
        assert first.build.status == "none"
        await client.deny(1, "no emacs here")
        assert (await up.message_to_operator("mended"))["body"] == "mended, because: no emacs here"
        await _asked(up, 2)
        second = await client.approval(2)
        assert second.diff is not None
        assert "+[ vim ]" in second.diff
        assert second.base == first.base
        await client.approve(2, commit=second.commit, reason="vim is fine")
        await up.message_to_operator("approval 2 runs")
        assert (await client.approval(2)).status == "deployed"
        _holds(tmp_path / "state" / "applied" / "alice.git", second.commit or "")
        await _spawn(up, client)
        said = [(row.actor, row.action, row.subject) for row in reversed(await client.audit())]
        assert [entry for entry in said if entry[1] in {"propose", "request-spawn", "approve", "deny"}] == [
            ("manager", "propose", "approval 1"),
            ("operator", "deny", "approval 1"),
            ("manager", "propose", "approval 2"),
            ("operator", "approve", "approval 2"),
            ("manager", "request-spawn", "approval 3"),
            ("operator", "approve", "approval 3"),
        ]


async def _spawn(up: Swarm, client: HiveClient) -> None:
    await client.send("manager", "we need a coder")
    await _asked(up, 3)
    assert (await client.approval(3)).requested_by == "manager"
    await client.approve(3)
    assert (await up.message_to_operator("I write code"))["from"] == "coder"
    await up.message_to_operator("approval 3 runs")


def _holds(repository: Path, commit: str) -> None:
    def git(*arguments: str) -> str:
        done = subprocess.run([program(), *arguments], cwd=repository, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert git("rev-parse", "main") == commit
    assert git("show", "main:agent.nix") == "[ vim ]"
    tags = git("tag", "--list").splitlines()
    assert {"proposal/1", "building/1", "denied/1", "proposal/2", "building/2", "approved/2", "deployed/2"} <= set(tags)
    assert "no emacs here" in git("tag", "--list", "--format=%(contents)", "denied/1")
