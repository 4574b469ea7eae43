"""Signing in: the harness drives the real `claude auth login` against a stand-in for the hosts behind it."""

from __future__ import annotations

import json
import logging
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness_place import QUICK, Place, command_line, place
from sign_in_hosts import ACCESS_TOKEN, SignInHosts, code_for

from hyperhive.harness import processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def signed_out(root: Path) -> AsyncIterator[tuple[Place, SignInHosts]]:
    """An agent without a login."""
    async with place(root) as here, SignInHosts(root) as hosts:
        environment = {key: value for key, value in here.hive.me.environment.items() if key != "ANTHROPIC_API_KEY"}
        here.set(environment={**environment, **hosts.environment})
        here.timings = replace(QUICK, sign_in_silence=0.5)
        yield here, hosts


def phases(here: Place) -> list[dict[str, Any]]:
    """What was told of sign-ins, each thing once."""
    said: list[dict[str, Any]] = []
    for report in here.hive.reports:
        if (login := report.get("login")) and login not in said:
            said.append(login)
    return said


async def reached(here: Place, phase: str, error: str = "") -> dict[str, Any]:
    """Wait until the newest of them is `phase`, with these words about an error."""

    def is_there() -> bool:
        said = phases(here)
        return bool(said) and said[-1]["phase"] == phase and error in (said[-1].get("error") or "")

    await here.hive.until(is_there)
    return phases(here)[-1]


async def link_of(here: Place) -> str:
    """Start a sign-in and wait for its link."""
    assert (await here.hive.command("login-start")).ok
    return (await reached(here, "link"))["url"]


def sign_in_processes() -> list[int]:
    """The sign-ins that run below this process; what one of them starts looks like it until it has begun."""
    found = [one for one in processes.tree(os.getpid())[1:] if b"auth\0login" in command_line(one)]
    below = {child.pid for one in found for child in processes.tree(one.pid)[1:]}
    return [one.pid for one in found if one.pid not in below]


def everything(here: Place) -> str:
    """All that left the harness: reports, events, answers to commands, and what lies in the agent's directories."""
    hive = here.hive
    said = json.dumps([hive.reports, [one.model_dump(mode="json") for one in [*hive.events, *hive.done.values()]]])
    # Not below claude's own directory, where files come and go while this looks.
    files = [
        Path(top) / name for top, _, names in os.walk(here.root) if "claude" not in Path(top).parts for name in names
    ]
    files = [path for path in files if path.is_file()]
    return said + "".join(path.read_bytes().decode(errors="replace") for path in files)


def waiting(here: Place, program: Path, link: str) -> None:
    """In place of claude, a program that names a link, with the escapes of `printf`, and waits for a code."""
    program.write_text(f"#!/bin/sh\nprintf 'visit:\\n%b\\ncode here > ' '{link}'\nread -r _\n")
    program.chmod(0o755)
    here.find = lambda _environment: str(program)


async def test_the_right_code_signs_in_and_the_agent_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with signed_out(tmp_path) as (here, hosts):
        here.start()
        await here.hive.put("hello")
        await here.hive.until(lambda: here.hive.reported(state="needs_login"))
        link = await link_of(here)
        assert link.startswith("https://claude.com/")
        code = code_for(link)
        assert (await here.hive.command("login-code", code=f"  {code}\n")).ok
        await reached(here, "done")
        assert await here.outcomes(1) == ["settled"], "the message that waited for the login"
        assert [one["phase"] for one in phases(here)] == ["starting", "link", "checking", "done"]
        assert hosts.codes == ["right"]
        stored = here.root / "claude" / ".credentials.json"
        assert ACCESS_TOKEN in stored.read_text()
        assert here.model.requests[0].auth != "api-key"
        assert sign_in_processes() == []
        told = everything(here) + caplog.text
        assert code not in told
        assert code.partition("#")[2] not in told.replace(link, "")
        assert ACCESS_TOKEN not in told


async def test_another_sign_in_is_told_without_waiting_for_a_turn(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, _):
        here.start()

        def about_login() -> list[dict[str, Any]]:
            return [report for report in here.hive.reports if "loginExpiresAt" in report]

        assert (await here.hive.command("login-code", code=code_for(await link_of(here)))).ok
        await reached(here, "done")
        await here.hive.until(lambda: here.hive.reported(state="idle"))
        told = len(about_login())
        assert (await here.hive.command("login-code", code=code_for(await link_of(here)))).ok
        await here.hive.until(lambda: len(about_login()) > told)
        assert about_login()[-1]["account"]


async def test_a_wrong_code_ends_the_attempt_and_says_why(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, _):
        here.start()
        link = await link_of(here)
        code = code_for(link, "another-one")
        assert (await here.hive.command("login-code", code=code)).ok
        end = await reached(here, "failed")
        assert "wasn't accepted" in end["error"]
        assert end["url"] is None
        assert code not in everything(here)
        assert "another-one" not in everything(here)
        assert sign_in_processes() == []
        assert not (here.root / "claude" / ".credentials.json").exists()
        refused = await here.hive.command("login-code", code=code)
        assert not refused.ok
        assert "no sign-in waits for a code" in (refused.error or "")


async def test_half_a_code_leaves_the_link_open_for_the_whole_one(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, hosts):
        here.start()
        link = await link_of(here)
        assert (await here.hive.command("login-code", code="right")).ok
        again = await reached(here, "link", "full code")
        assert again["url"] == link
        assert (await here.hive.command("login-code", code=code_for(link))).ok
        await reached(here, "done")
        assert hosts.codes == ["right"]


async def test_a_cancel_leaves_no_process(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, _):
        here.start()
        await link_of(here)
        assert len(sign_in_processes()) == 1
        assert (await here.hive.command("login-cancel")).ok
        assert sign_in_processes() == []
        assert (await reached(here, "cancelled"))["url"] is None
        again = await here.hive.command("login-cancel")
        assert again.result is not None
        assert again.result["code"] == "wrong_state"


async def test_a_second_start_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, _):
        here.start()
        first = await link_of(here)
        assert (await here.hive.command("login-start")).ok
        await here.hive.until(lambda: phases(here)[-1]["phase"] == "link" and phases(here)[-1]["url"] != first)
        second = phases(here)[-1]["url"]
        assert len(sign_in_processes()) == 1
        assert (await here.hive.command("login-code", code=code_for(second))).ok
        await reached(here, "done")


async def test_an_attempt_expires(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, _):
        here.timings = replace(here.timings, sign_in=0.5)
        waiting(here, tmp_path / "claude-program", "https://claude.ai/oauth")
        here.start()
        assert (await here.hive.command("login-start")).ok
        end = await reached(here, "expired")
        assert ("in time" in end["error"], end["url"]) == (True, None)
        assert sign_in_processes() == []


async def test_the_end_of_the_harness_ends_it(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, _):
        here.start()
        await link_of(here)
        await here.stop()
        assert sign_in_processes() == []


async def test_a_login_from_the_environment_is_not_shadowed(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        here.start()
        refused = await here.hive.command("login-start")
        assert "ANTHROPIC_API_KEY" in (refused.error or "")
        assert phases(here) == []


@pytest.mark.parametrize(
    "said",
    [
        "https://sign-in.example.org/oauth",
        "http://claude.ai/oauth",
        "https://claude.ai.example.org/",
        "https://user@claude.ai/",
        "https://claude.ai/" + "x" * 2000,
        "https://claude.ai/\\u202eevil",
    ],
    ids=["host", "scheme", "suffix", "user", "long", "character"],
)
async def test_a_link_to_elsewhere_is_not_shown(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, said: str
) -> None:
    # Beside the agent's directories: the program itself names the link.
    program = tmp_path_factory.mktemp("program") / "claude"
    async with signed_out(tmp_path) as (here, _):
        waiting(here, program, said)
        here.start()
        assert (await here.hive.command("login-start")).ok
        assert "the link" in (await reached(here, "failed"))["error"]
        assert said not in everything(here)
        assert all(one.get("url") is None for one in phases(here))


async def test_a_program_that_floods_or_dies_is_a_failure_with_one_line(tmp_path: Path) -> None:
    async with signed_out(tmp_path) as (here, _):
        program = tmp_path / "claude-program"
        program.write_text(
            "#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\necho\necho 'no sk-ant-oat01-secret here'\n"
        )
        program.chmod(0o755)
        here.find = lambda _environment: str(program)
        here.start()
        assert (await here.hive.command("login-start")).ok
        assert (await reached(here, "failed"))["error"] == "no [token] here"
