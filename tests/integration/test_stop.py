"""The daemon's start and end: SIGTERM at any moment, what it says when it cannot start, and what it leaves behind."""

# ruff: noqa: S311 - moments are drawn, not secrets

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bare_http import GoneError, RawClient
from broker_bed import DEADLINE
from hive_bed import HiveProcess, hive_process, running_hive, settings_json

from hyperhive.config_file import parse_settings
from hyperhive.errors import HiveError
from hyperhive.hive.daemon import run


def _clean(hive: HiveProcess) -> None:
    text = hive.text()
    assert "Traceback" not in text, text
    assert "ERROR" not in text, text
    run_dir = hive.place / "state" / "run"
    assert not (run_dir / "host.sock").exists()


async def test_sigterm_while_it_starts_is_an_orderly_end(place: Path) -> None:
    """At any moment from the first line of the daemon's own code on: what is half made is taken down."""
    async with hive_process(place) as hive:
        for _ in range(12):
            await hive.spawn()
            await asyncio.sleep(random.uniform(0, 0.12))
            code = await hive.end(signal.SIGTERM)
            assert code in {0, -signal.SIGTERM}, hive.text()
            assert "Traceback" not in hive.text(), hive.text()
        await hive.start()
        assert await hive.end(signal.SIGTERM) == 0
        _clean(hive)


async def test_sigterm_while_it_waits_for_a_port(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        async with hive_process(place) as hive:
            await hive.spawn(dashboard={"port": other.getsockname()[1]})
            async with asyncio.timeout(DEADLINE):
                while "trying again for a while" not in hive.text():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)  # its log is all that it says
            assert await hive.end(signal.SIGTERM) == 0
            _clean(hive)


async def test_sigterm_with_everybody_parked(place: Path) -> None:
    """They are answered with nothing, at once, and the end is not held up."""
    async with hive_process(place) as hive:
        await hive.start()
        clients = [RawClient(hive.agent_socket(name)) for name in ("alice", "bob", "carol", "dave")]
        waits = [asyncio.create_task(c.ask("POST", "/v1/recv", {"waitSeconds": 180})) for c in clients]
        polls = [asyncio.create_task(c.ask("POST", "/v1/commands", {"waitSeconds": 180})) for c in clients]
        following = await asyncio.open_unix_connection(str(hive.host_socket))
        following[1].write(b"GET /api/stream HTTP/1.1\r\nHost: h\r\n\r\n")
        await following[0].readuntil(b": here")
        for client in clients:
            for _ in range(8):
                await client.ask("GET", "/v1/self")
        assert await hive.end(signal.SIGTERM) == 0, "within the deadline, which is a third of what they would wait"
        assert await asyncio.gather(*waits) == [{"deliveries": [], "unread": 0}] * 4
        assert await asyncio.gather(*polls) == [{"commands": []}] * 4
        await following[0].read()
        following[1].close()
        for client in clients:
            await client.close()
        _clean(hive)


async def test_a_second_signal_does_not_cut_the_end_short(place: Path) -> None:
    async with hive_process(place) as hive:
        await hive.start()
        # It sees none of them before the last was sent, or could be gone by then.
        for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            os.kill(hive.pid, number)
        assert await hive.ended() == 0
        _clean(hive)


async def test_requests_during_the_end_are_answered_or_cut_and_never_half_done(place: Path) -> None:
    async with hive_process(place) as hive:
        await hive.start()
        accepted: list[int] = []
        refused: list[str] = []
        under_way = asyncio.Event()

        async def send(client: RawClient, number: int) -> None:
            while True:
                try:
                    request = {"to": "operator", "body": f"{number} {len(accepted)}"}
                    accepted.append((await client.ask("POST", "/v1/messages", request))["id"])
                    under_way.set()
                except HiveError as error:
                    refused.append(error.code)
                    if error.code == "too_many_messages":
                        return
                except GoneError:
                    return

        clients = [RawClient(hive.agent_socket(name)) for name in ("alice", "bob", "carol")]
        tasks = [asyncio.create_task(send(client, number)) for number, client in enumerate(clients * 4)]
        await asyncio.wait_for(under_way.wait(), DEADLINE)
        assert await hive.end(signal.SIGTERM) == 0
        await asyncio.wait_for(asyncio.gather(*tasks), DEADLINE)
        for client in clients:
            await client.close()
        _clean(hive)
        assert accepted
        assert set(refused) <= {"shutting_down", "too_many_messages"}
        assert set(accepted) <= {number for number, _sender, _body in hive.stored()}


@pytest.mark.parametrize("sends", [1000, pytest.param(3334, marks=pytest.mark.long)])
async def test_thousands_of_sends_in_a_burst(place: Path, sends: int) -> None:
    """More than anybody may send: most are refused with a time to come again, and of the accepted none is lost."""
    async with hive_process(place) as hive:
        await hive.start()
        accepted: dict[int, str] = {}
        refused: list[HiveError] = []

        async def send(client: RawClient, name: str, number: int) -> None:
            body = f"{name} {number}"
            try:
                to = "operator" if name == "carol" else "bob"
                answer = await client.ask("POST", "/v1/messages", {"to": to, "body": body})
                accepted[answer["id"]] = body
            except HiveError as error:
                refused.append(error)

        async def burst(name: str) -> None:
            async with RawClient(hive.agent_socket(name)) as client:
                for first in range(0, sends, 20):
                    await asyncio.gather(*(send(client, name, n) for n in range(first, first + 20)))

        began = time.monotonic()
        await asyncio.gather(*(burst(name) for name in ("alice", "carol", "bob")))
        minutes = (time.monotonic() - began) // 60
        assert len(accepted) + len(refused) >= 3 * sends
        assert {error.code for error in refused} == {"too_many_messages", "too_many_unread"}
        assert all(error.data["retry_after"] >= 1 for error in refused)
        # What bob has room for, and what carol may send a minute.
        assert 1000 + 600 <= len(accepted) <= 1000 + 600 * (1 + minutes)
        await hive.kill()
        assert {number: body for number, _sender, body in hive.stored()} == accepted
        await hive.start()
        got: list[dict[str, Any]] = []
        async with RawClient(hive.agent_socket("bob")) as bob:
            while more := (await bob.ask("POST", "/v1/recv", {"max": 32, "holding": [d["id"] for d in got]}))[
                "deliveries"
            ]:
                got += more
                done = {"ids": [delivery["id"] for delivery in more], "outcome": "settled"}
                await bob.ask("POST", "/v1/outcome", done)
                got = []
                accepted = {n: body for n, body in accepted.items() if n not in done["ids"]}
        assert {body.split()[0] for body in accepted.values()} == {"carol"}, "only the operator's mail is left"
        assert await hive.end(signal.SIGTERM) == 0


# --- when it cannot start


async def _refusal(place: Path, **more: Any) -> HiveError:  # noqa: ANN401 - JSON
    settings = parse_settings(settings_json(place, **more))
    umask = os.umask(0o077)
    try:
        await run(settings)
    except HiveError as error:
        return error
    finally:
        os.umask(umask)
    msg = "it started"
    raise AssertionError(msg)


async def test_a_start_that_fails_is_one_error_that_says_why(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No group of errors and no traceback: the command line shows the sentence."""
    from hyperhive.web import sockets  # noqa: PLC0415 - patched here alone

    async def at_once(_seconds: float) -> None:
        """Do not wait."""

    with socket.create_server(("127.0.0.1", 0)) as other, monkeypatch.context() as patch:
        port = other.getsockname()[1]
        patch.setattr(sockets.asyncio, "sleep", at_once)
        error = await _refusal(place, dashboard={"port": port}, runtime="process")
        assert (error.code, str(port) in error.message) == ("port_taken", True)
    weak = place / "weak"
    weak.write_text("short")
    error = await _refusal(place, dashboard={"port": 0, "operatorTokenFile": str(weak)}, runtime="process")
    assert error.code == "bad_config"
    async with running_hive(place):
        assert (await _refusal(place)).code == "hive_running"
    async with running_hive(place) as hive:
        assert (await (await hive.operator()).get("/healthz")).status_code == 200


async def test_one_agent_that_cannot_start_keeps_nobody_else_from_it(place: Path) -> None:
    agents = place / "state" / "run" / "agents"
    agents.mkdir(parents=True, mode=0o700)
    (agents / "alice").write_text("where her socket's directory should be")
    async with running_hive(place, {"alice": {}, "bob": {}}) as hive:
        bob, operator = await hive.agent("bob"), await hive.operator()
        assert (await bob.get("/v1/self")).json()["name"] == "bob"
        rows = {row["name"]: row for row in (await operator.get("/api/agents")).json()["agents"]}
        assert rows["alice"]["state"] == "failed"
        assert "alice" in rows["alice"]["problem"]
        assert rows["bob"]["state"] == "starting"
        answer = await operator.post("/api/agents/alice/start")
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] in {"internal", "operation_failed"}
        assert (await operator.get("/healthz")).status_code == 200


async def test_the_program_itself_starts_and_ends(place: Path) -> None:
    """Not forked from a test: its own imports, its own migration."""
    config = place / "config.json"
    config.write_text(settings_json(place))
    program = str(Path(__file__).with_name("hive_process.py"))
    process = await asyncio.create_subprocess_exec(sys.executable, program, str(config), stdout=-1, stderr=-1)
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        assert b"#token=" in await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _out, log = await process.communicate()
    assert process.returncode == 0, log
    assert b"Traceback" not in log
    assert (place / "state" / "hive.sqlite").stat().st_mode & 0o077 == 0
    assert (place / "state").stat().st_mode & 0o777 == 0o700
