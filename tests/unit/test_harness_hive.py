"""What goes to the hive and comes from it: retries, batches, merges, commands. The hive here is a list of answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness import events as events_module
from hyperhive.harness import processes
from hyperhive.harness.commands import Commands
from hyperhive.harness.control import Control
from hyperhive.harness.events import Events
from hyperhive.harness.hive import HiveClient, is_passing, is_untaken, until_taken
from hyperhive.harness.reporter import Reporter
from hyperhive.harness.settings import Timings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    import httpx

    from hyperhive.harness.record import Record
    from hyperhive.harness.turn import Turn

    Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

BACKOFF = (0.001, 0.002)


def away() -> HiveError:
    return HiveError("no_daemon", "the hive does not answer")


class Hive:
    """Remembers requests; `faults` are raised first, `gate` holds answers back."""

    def __init__(self, *faults: HiveError) -> None:
        self.faults = list(faults)
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[wire.EventsRequest] = []
        self.reports: list[dict[str, Any]] = []
        self.polls: list[wire.CommandsRequest] = []
        self.commands_given: asyncio.Queue[list[wire.Command]] = asyncio.Queue()
        self.arrived = asyncio.Event()

    async def _come(self) -> None:
        self.arrived.set()
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop(0)

    async def events(self, request: wire.EventsRequest) -> wire.Ok:
        await self._come()
        if len(request.events) > 1 and any("poison" in event.data for event in request.events):
            raise HiveError("malformed", "no", httpStatus=422)
        self.batches.append(request)
        return wire.Ok()

    async def report(self, request: wire.ReportRequest) -> wire.Ok:
        await self._come()
        self.reports.append(request.model_dump(exclude_unset=True, exclude={"instance"}))
        return wire.Ok()

    async def commands(self, request: wire.CommandsRequest) -> wire.CommandsAnswer:
        await self._come()
        self.polls.append(request)
        return wire.CommandsAnswer(commands=await self.commands_given.get() if request.wait_seconds else [])

    @property
    def client(self) -> HiveClient:
        return cast("HiveClient", self)

    def numbers(self) -> list[int]:
        return [event.n for batch in self.batches for event in batch.events]


class NoRecord:
    """Keeps rows in a list."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    async def write(self, _loop: object, rows: list[Any]) -> None:
        self.rows += rows

    def close(self) -> None:
        self.rows.append("closed")


@pytest.fixture
async def background() -> AsyncIterator[Start]:
    """Runs tasks for the length of a test."""
    tasks: list[asyncio.Task[None]] = []

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def test_a_hive_that_is_away_is_asked_again() -> None:
    faults = [away(), HiveError("shutting_down", "later", httpStatus=503), HiveError("internal", "x", httpStatus=500)]
    told: list[HiveError] = []

    async def call() -> str:
        if faults:
            raise faults.pop(0)
        return "answer"

    assert await until_taken(call, BACKOFF, on_away=told.append) == "answer"
    assert len(told) == 3


async def test_a_refusal_is_not_asked_again() -> None:
    async def call() -> str:
        raise HiveError("not_allowed", "no", httpStatus=403)

    with pytest.raises(HiveError, match="no"):
        await until_taken(call, BACKOFF)


def test_a_full_disk_is_waited_for_only_where_nothing_may_be_lost() -> None:
    full = HiveError("storage_full", "full", httpStatus=507)
    assert not is_passing(full)
    assert is_untaken(full)
    assert is_untaken(HiveError("too_many_messages", "slow", httpStatus=429))


async def test_no_socket_is_a_hive_that_is_away(tmp_path: Path) -> None:
    async with HiveClient(tmp_path / "absent.sock") as hive:
        with pytest.raises(HiveError) as caught:
            await hive.about_me()
    assert caught.value.code == "no_daemon"


async def test_a_recv_may_wait_longer_than_the_client_would_by_itself(tmp_path: Path) -> None:
    waits: list[float] = []

    async def request(*_args: object, timeout: httpx.Timeout, **_more: object) -> None:  # noqa: ASYNC109
        waits.append(timeout.read or 0)
        raise away()

    async with HiveClient(tmp_path / "absent.sock") as hive:
        hive._http.request = request  # type: ignore[method-assign,assignment]
        with pytest.raises(HiveError):
            await hive.recv(wire.RecvRequest(wait_seconds=180))
    assert waits[0] > 180


async def test_events_go_in_batches_while_a_post_is_under_way(background: Start) -> None:
    hive, record = Hive(), NoRecord()
    queue = Events(hive.client, cast("Record", record), "i", BACKOFF)
    hive.gate.clear()
    background(queue.deliver())
    background(queue.record())
    queue.emit("text", 1, text="first")
    await hive.arrived.wait()
    for number in range(3):
        queue.emit("text", 1, text=str(number))
    hive.gate.set()
    await queue.flush(5)
    assert [len(batch.events) for batch in hive.batches] == [1, 3]
    assert hive.numbers() == [1, 2, 3, 4]
    await queue.close()
    assert [row[3]["text"] for row in record.rows[:-1]] == ["first", "0", "1", "2"]
    assert record.rows[-1] == "closed"


async def test_a_repeated_batch_keeps_its_numbers(background: Start) -> None:
    hive = Hive(away(), away())
    queue = Events(hive.client, cast("Record", NoRecord()), "i", BACKOFF)
    queue.emit("text", 1, text="x")
    background(queue.deliver())
    await queue.flush(5)
    assert hive.numbers() == [1]


async def test_the_oldest_events_go_first_and_a_note_counts_them(
    background: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_MOST", 3)
    hive = Hive()
    queue = Events(hive.client, cast("Record", NoRecord()), "i", BACKOFF)
    for number in range(10):
        queue.emit("text", 1, text=str(number))
    background(queue.deliver())
    await queue.flush(5)
    (batch,) = hive.batches
    assert [event.kind for event in batch.events] == ["note", "text", "text", "text"]
    assert batch.events[0].data["dropped"] == 7
    assert [event.data["text"] for event in batch.events[1:]] == ["7", "8", "9"]


async def test_a_refused_event_does_not_cost_the_others(background: Start) -> None:
    hive = Hive()
    queue = Events(hive.client, cast("Record", NoRecord()), "i", BACKOFF)
    queue.emit("text", 1, text="good")
    queue.emit("text", 1, poison=True)
    queue.emit("text", 1, text="good too")
    background(queue.deliver())
    await queue.flush(5)
    assert hive.numbers() == [1, 2, 3]


async def test_a_flush_gives_up_after_its_time() -> None:
    hive = Hive()
    queue = Events(hive.client, cast("Record", NoRecord()), "i", BACKOFF)
    queue.emit("text", 1, text="x")
    await queue.flush(0.01)


async def test_reports_merge_but_never_their_usage(background: Start) -> None:
    hive = Hive()
    reporter = Reporter(hive.client, "i", BACKOFF)
    reporter.enter("thinking")
    reporter.tell(usage=wire.Usage(input_tokens=1), model="haiku")
    reporter.enter("idle")
    reporter.tell(usage=wire.Usage(input_tokens=2))
    background(reporter.run())
    await reporter.flush(5)
    first, second = hive.reports
    assert (first["state"], first["usage"]["inputTokens"], first["n"]) == ("idle", 1, 1)
    assert (second["usage"]["inputTokens"], second["n"]) == (2, 2)
    assert "state" not in second


async def test_a_state_is_reported_once_with_its_since_and_cleared_problem(background: Start) -> None:
    hive = Hive()
    reporter = Reporter(hive.client, "i", BACKOFF)
    background(reporter.run())
    reporter.enter("needs_login", "no login")
    await reporter.flush(5)
    reporter.enter("needs_login", "no login")
    reporter.enter("needs_login", "still none")
    await reporter.flush(5)
    reporter.enter("idle")
    await reporter.flush(5)
    assert [one["problem"] for one in hive.reports] == ["no login", "still none", None]
    assert hive.reports[0]["since"] == hive.reports[1]["since"] < hive.reports[2]["since"]
    reporter.repeat()
    await reporter.flush(5)
    assert hive.reports[3]["state"] == "idle"
    assert "usage" not in hive.reports[3]


async def test_a_command_that_comes_twice_runs_once(background: Start) -> None:
    hive, control = Hive(), Control()
    background(Commands(hive.client, control, Timings(backoff=BACKOFF), lambda: None).run())
    command = wire.Command(id=3, kind="dance")
    for _ in range(2):
        hive.polls.clear()
        hive.commands_given.put_nowait([command])
        async with asyncio.timeout(60):
            while not [poll for poll in hive.polls if poll.done]:
                hive.arrived.clear()
                await hive.arrived.wait()
                await asyncio.sleep(0)
        (done,) = next(poll.done for poll in hive.polls if poll.done)
        assert (done.id, done.ok) == (3, False)
        assert "dance" in (done.error or "")


async def test_the_hive_hears_which_commands_run(background: Start) -> None:
    hive, finish = Hive(), asyncio.Event()

    async def dance(_args: dict[str, Any]) -> None:
        await finish.wait()

    further = {"dance": dance}
    commands = Commands(hive.client, Control(), Timings(backoff=BACKOFF), lambda: None, instance="one", further=further)
    background(commands.run())

    async def until(holds: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not holds():
                hive.arrived.clear()
                await hive.arrived.wait()
                await asyncio.sleep(0)

    hive.commands_given.put_nowait([wire.Command(id=3, kind="dance")])
    await until(lambda: [poll for poll in hive.polls if poll.running == [3]])
    assert {poll.instance for poll in hive.polls} == {"one"}
    finish.set()
    await until(lambda: [poll for poll in hive.polls if poll.done])
    assert next(poll.running for poll in hive.polls if poll.done) == []


async def test_a_hive_that_comes_back_is_told_everything(background: Start) -> None:
    hive, back = Hive(away(), away()), asyncio.Event()
    background(Commands(hive.client, Control(), Timings(backoff=BACKOFF), back.set).run())
    hive.commands_given.put_nowait([])
    async with asyncio.timeout(60):
        await back.wait()


@pytest.mark.parametrize("args", [{"graceSeconds": "soon"}, {"graceSeconds": True}])
async def test_a_stop_without_a_number_is_refused(args: dict[str, Any]) -> None:
    hive, control = Hive(), Control()
    commands = Commands(hive.client, control, Timings(backoff=BACKOFF), lambda: None)
    await commands._execute(wire.Command(id=1, kind="stop", args=args))
    assert not hive.polls[0].done[0].ok
    assert not control.stopping.is_set()


class SomeTurn:
    """Remembers how it was halted."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.halts: list[str] = []

    def halt(self, why: str) -> None:
        self.halts.append(why)
        self.over.set()


async def test_a_shorter_grace_replaces_a_longer_one() -> None:
    control, turn = Control(), SomeTurn()
    control.begin(cast("Turn", turn))
    control.stop(60)
    control.stop(0)
    async with asyncio.timeout(60):
        await turn.over.wait()
    assert turn.halts == ["stop"]
    late = SomeTurn()
    control.begin(cast("Turn", late))
    assert late.halts == ["stop"]
    control.close()


def test_a_tree_of_processes_is_found_and_ended() -> None:
    script = (
        "import subprocess, sys; subprocess.Popen(['sleep', '60'], start_new_session=True); print(); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        found = processes.tree(parent.pid)
        assert found[0].pid == parent.pid
        assert len(found) == 2
        processes.kill([one._replace(started="0") for one in found])
        assert len(processes.tree(parent.pid)) == 2
        processes.kill(found)
        parent.wait(timeout=60)
    assert processes.tree(parent.pid) == []


def test_the_harness_imports_no_part_of_the_hive() -> None:
    script = (
        "import runpy, sys; runpy.run_module('hyperhive.harness', run_name='x')['start']();"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={
        "PYTHONPATH": ":".join(sys.path)
    })  # fmt: skip
    assert "HIVE_SOCKET" in done.stderr
    assert not {"fastapi", "sqlmodel", "sqlalchemy", "rich", "typer"} & set(done.stdout.replace("'", "").split(", "))
