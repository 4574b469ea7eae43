"""A proposal from the manager's repository to an approval: its tool, the route of its socket, and what these refuse."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest
from broker_bed import DEADLINE
from hive_bed import RunningHive, over, running_hive
from repo_bed import WHO

from hyperhive.client import HiveClient as Operator
from hyperhive.errors import HiveError
from hyperhive.harness.control import Control
from hyperhive.harness.hive import HiveClient
from hyperhive.harness.proposal import Configurations
from hyperhive.harness.proposing import ProposalTools
from hyperhive.harness.settings import Settings
from hyperhive.harness.tools import HiveTools
from hyperhive.hive.git import program
from hyperhive.hive.repos import Repos
from hyperhive.wire import MAX_BUNDLE, PROPOSAL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from hyperhive.harness.reporter import Reporter
    from hyperhive.harness.tool import Patiently

_ROUTE = "/v1/config-proposals"


@pytest.fixture
async def hive(place: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningHive]:
    done: asyncio.Queue[None] = asyncio.Queue()
    real = Repos.provide

    async def provide(*arguments: Any) -> None:  # noqa: ANN401 - passed on
        await real(*arguments)
        done.put_nowait(None)

    monkeypatch.setattr(Repos, "provide", provide)
    async with running_hive(place, {"alice": {}, "bob": {"mutable": False}}, manager={"enable": True}) as running:
        async with asyncio.timeout(DEADLINE):
            for _ in ("alice", "bob", "manager"):
                await done.get()
        yield running


def _settings(hive: RunningHive) -> Settings:
    state = hive.place / "state"
    return Settings(
        socket=hive.agent_socket("manager"),
        state=hive.place,
        shared=hive.place,
        claude_config=hive.place,
        proposed=state / "proposed",
        applied=state / "applied",
    )


class Manager:
    """The manager's harness, as far as configuration goes, and its shell."""

    def __init__(self, hive: RunningHive, client: HiveClient) -> None:
        self.settings = _settings(hive)
        tools = HiveTools(client, Control(), cast("Reporter", None), self.settings)
        self.configurations = tools.configurations
        self.tools = ProposalTools(client, tools._patiently, self.configurations)

    def config(self, agent: str = "alice") -> Path:
        assert self.settings.proposed is not None
        return self.settings.proposed / agent / "config"

    def git(self, *arguments: str, agent: str = "alice") -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **WHO}
        command = [program(), "-C", str(self.config(agent)), *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, text: str, agent: str = "alice") -> str:
        (self.config(agent) / "agent.nix").write_text(text)
        self.git("commit", "--quiet", "--all", "--message", "a change", agent=agent)
        return self.git("rev-parse", "HEAD", agent=agent)

    async def ask(self, agent: str, commit: str, **more: str) -> str:
        return await self.tools.request_apply_commit({"agent": agent, "commit": commit, **more})


@pytest.fixture
async def manager(hive: RunningHive) -> AsyncIterator[Manager]:
    async with HiveClient(hive.agent_socket("manager")) as client:
        made = Manager(hive, client)
        await made.configurations.prepare()
        yield made


async def _refused(manager: Manager, agent: str, commit: str) -> HiveError:
    with pytest.raises(HiveError) as refusal:
        await manager.ask(agent, commit)
    return refusal.value


async def test_a_commit_becomes_an_approval_that_shows_what_changes(hive: RunningHive, manager: Manager) -> None:
    assert (manager.config() / "agent.nix").is_file()
    commit = manager.commit("{ pkgs, ... }: { environment.systemPackages = [ pkgs.jq ]; }\n")
    said = await manager.ask("alice", commit[:9], description="jq for alice")
    assert said.startswith(f"Approval 1: commit {commit[:12]} of the configuration of alice")
    async with Operator(hive.ready.host_socket) as operator:
        (row,) = await operator.approvals()
        assert (row.kind, row.agent, row.commit, row.requested_by) == ("apply", "alice", commit, "manager")
        assert row.description == "jq for alice"
    assert not (hive.place / "state" / "uploads").exists()


async def test_only_the_hash_of_a_commit_is_taken_also_beside_a_branch_of_that_name(manager: Manager) -> None:
    commit = manager.commit("{ }\n")
    manager.git("branch", "abcdef1")
    for name in ("main", "HEAD", "abcdef1", "--help", commit[:6], commit.upper(), "f" * 40):
        assert (await _refused(manager, "alice", name)).code == "bad_proposal"


async def test_what_stands_in_the_way_in_its_own_repository_is_told_to_the_manager(manager: Manager) -> None:
    commit = manager.commit("{ }\n")
    hook = manager.config() / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    refusal = await _refused(manager, "alice", commit)
    assert refusal.code == "bad_proposal"
    assert "update-ref failed" in refusal.message


async def test_agents_that_are_not_there_or_take_no_changes(manager: Manager) -> None:
    assert (await _refused(manager, "nobody", "a" * 40)).code == "not_found"
    assert (await _refused(manager, "../alice", "a" * 40)).code == "bad_name"
    commit = manager.commit("{ }\n", agent="bob")
    assert (await _refused(manager, "bob", commit)).code == "not_mutable"


async def test_a_repository_is_cloned_where_there_is_none_and_never_over_one(hive: RunningHive) -> None:
    settings = _settings(hive)
    assert settings.proposed is not None
    alice, bob = settings.proposed / "alice", settings.proposed / "bob"
    (alice / "config").mkdir()
    (bob / "config").mkdir()
    (bob / "config" / "mine").write_text("kept")
    (settings.proposed / "stranger").symlink_to("/etc")
    await Configurations(settings).prepare()
    assert (alice / "config" / "agent.nix").is_file()
    assert [path.name for path in (bob / "config").iterdir()] == ["mine"]
    assert sorted(path.name for path in alice.iterdir()) == ["config"]
    # No link to a file of the hive's own repository.
    objects = (alice / "config" / ".git" / "objects").rglob("*")
    assert {path.stat().st_nlink for path in objects if path.is_file()} == {1}


async def test_the_first_request_may_be_what_clones(hive: RunningHive) -> None:
    async with HiveClient(hive.agent_socket("manager")) as client:
        manager = Manager(hive, client)
        refusal = await _refused(manager, "alice", "a" * 40)
        assert "now it is, at" in refusal.message
        assert (manager.config() / "agent.nix").is_file()


async def test_the_tool_is_the_managers_alone(hive: RunningHive) -> None:
    settings = _settings(hive)
    alone = Settings(settings.socket, settings.state, settings.shared, settings.claude_config)
    for where, names in ((settings, ["request_apply_commit"]), (alone, [])):
        tools = ProposalTools(cast("HiveClient", None), cast("Patiently", None), Configurations(where)).tools()
        assert [tool.name for tool in tools] == names
    await Configurations(alone).prepare()


# --- the route

_QUERY = {"agent": "alice", "commit": "a" * 40}


async def test_other_agents_have_no_such_route(hive: RunningHive) -> None:
    answer = await (await hive.agent("alice")).post(_ROUTE, params=_QUERY, content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    # Nor the manager's room for a large request.
    answer = await (await hive.agent("alice")).post(_ROUTE, params=_QUERY, content=bytes(3_000_000))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "query",
    [{}, {"agent": "alice"}, {**_QUERY, "commit": "main"}, {**_QUERY, "commit": "a" * 41}, {**_QUERY, "more": "x"}],
)
async def test_a_query_that_says_something_else_is_malformed(hive: RunningHive, query: dict[str, str]) -> None:
    answer = await (await hive.agent("manager")).post(_ROUTE, params=query, content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")


async def test_what_is_no_bundle_or_too_large_is_refused_and_leaves_nothing(hive: RunningHive) -> None:
    client = await hive.agent("manager")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BUNDLE // 1_000_000 + 2):
            yield bytes(1_000_000)

    for content, status, code in (
        (b"no bundle", 422, "bad_proposal"),
        (b"", 422, "bad_proposal"),
        (bytes(MAX_BUNDLE), 422, "bad_proposal"),
        (bytes(MAX_BUNDLE + 1), 413, "body_too_large"),
        (chunks(), 413, "body_too_large"),
    ):
        answer = await client.post(_ROUTE, params=_QUERY, content=content)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert not (hive.place / "state" / "uploads").exists()


async def test_a_bundle_that_breaks_off_leaves_nothing_and_the_next_one_is_taken(
    hive: RunningHive, manager: Manager
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"# v2 git bundle\n"
        raise ConnectionAbortedError

    async with over(hive.agent_socket("manager")) as client:
        with pytest.raises(ConnectionAbortedError):
            await client.post(_ROUTE, params=_QUERY, content=broken())
    commit = manager.commit("{ }\n")
    assert "Approval" in await manager.ask("alice", commit)
    assert not (hive.place / "state" / "uploads").exists()


async def test_the_same_key_gives_the_same_approval(hive: RunningHive, manager: Manager) -> None:
    commit = manager.commit("{ }\n")
    bundle = hive.place / "bundle"
    manager.git("update-ref", PROPOSAL, commit)
    manager.git("bundle", "create", "--quiet", "--version=2", str(bundle), PROPOSAL)
    client = await hive.agent("manager")
    query = {"agent": "alice", "commit": commit, "idempotencyKey": "k"}
    answers = [await client.post(_ROUTE, params=query, content=bundle.read_bytes()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]


async def test_the_configuration_that_runs_is_shown_with_what_it_builds_upon(hive: RunningHive) -> None:
    operator = await hive.operator()
    shown = (await operator.get("/api/agents/alice/config")).json()
    assert [file["path"] for file in shown["files"]] == ["agent.nix"]
    assert "on top of the base of every agent" in shown["note"]
    fixed = (await operator.get("/api/agents/bob/config")).json()
    assert "'bob' takes no proposals: the settings say mutable = false" in fixed["note"]
    assert (await operator.get("/api/agents/nobody/config")).status_code == 404


async def test_without_git_the_viewer_says_so(hive: RunningHive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_GIT", "/nowhere/git")
    shown = (await (await hive.operator()).get("/api/agents/alice/config")).json()
    assert shown["files"] == []
    assert "git cannot be run" in shown["note"]
