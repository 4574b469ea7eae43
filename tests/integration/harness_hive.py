"""A hive as small as can be, for tests of the harness alone: the agent API on a Unix socket, all state in plain lists.

It keeps the promises that the harness builds on (what is not held goes back, an accepted message is there until an
outcome ends it), can go away and come back, and lets tests wait for what they expect instead of sleeping.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from broker_bed import DEADLINE

from hyperhive import wire
from hyperhive.clock import utc_now
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class StandInHive:
    """Serves one agent on `socket`; use it as an async context manager."""

    def __init__(self, socket: Path, me: wire.SelfInfo) -> None:
        self.me = me
        self.queue: list[wire.Delivery] = []
        self.held: dict[int, wire.Delivery] = {}
        self.outcomes: list[wire.OutcomeRequest] = []
        self.reports: list[dict[str, Any]] = []
        self.events: list[wire.EventIn] = []
        self.sent: list[wire.SendRequest] = []
        self.done: dict[int, wire.CommandDone] = {}
        self.polls = 0
        self.receiving = 0
        #: Cleared: what a turn used is heard and not answered.
        self.counting = asyncio.Event()
        self.counting.set()
        self.refuse: list[tuple[str, int]] = []
        self._seen: set[tuple[str, int]] = set()
        self._commands: list[wire.Command] = []
        self._ids = iter(range(1, 10_000))
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        await self.back()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.away()

    async def back(self) -> None:
        """Answer (again)."""
        self._server = await asyncio.start_unix_server(self._connected, self._socket)

    async def away(self) -> None:
        """Be gone, in the middle of whatever was asked."""
        if self._server:
            self._server.close()
        self._socket.unlink(missing_ok=True)
        for task in list(self._tasks):
            task.cancel()
        for writer in list(self._open):
            writer.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def until(self, holds: Callable[[], object], seconds: float = DEADLINE) -> None:
        """Wait until `holds()` is true."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)

    async def put(self, body: str, sender: str = "bob") -> int:
        """A message for the agent; returns its id."""
        number = next(self._ids)
        self.queue.append(wire.Delivery(id=number, from_=sender, body=body, sent_at=utc_now()))
        await self._tell()
        return number

    async def command(self, kind: str, **args: object) -> wire.CommandDone:
        """Give a command and wait for its result."""
        number = await self.give(kind, **args)
        await self.until(lambda: number in self.done)
        return self.done[number]

    async def give(self, kind: str, **args: object) -> int:
        """Give a command; returns its id."""
        command = wire.Command(id=next(self._ids), kind=kind, args=args)
        self._commands.append(command)
        await self._tell()
        return command.id

    def kinds(self) -> list[str]:
        """The events so far, by kind."""
        return [event.kind for event in self.events]

    def data(self, kind: str) -> list[dict[str, Any]]:
        """What the events of one kind say."""
        return [event.data for event in self.events if event.kind == kind]

    def reported(self, **wanted: object) -> list[dict[str, Any]]:
        """The reports in which these keys have these values."""
        return [one for one in self.reports if all(one.get(key) == value for key, value in wanted.items())]

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            while request := await self._read(reader):
                status, answer = await self._answer(*request)
                content = json.dumps(answer).encode()
                head = (
                    f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
                )
                writer.write(head.encode() + content)
                await writer.drain()
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> tuple[str, bytes] | None:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
        method, path, _ = lines[0].split(" ")
        return f"{method} {path}", await reader.readexactly(length)

    async def _answer(self, route: str, body: bytes) -> tuple[int, Any]:
        for index, (refused, status) in enumerate(self.refuse):
            if refused == route:
                del self.refuse[index]
                return status, HiveError("shutting_down", "the hive is stopping").to_json()
        handler = self._routes()[route]
        try:
            answer = await handler(body)
        except HiveError as error:
            return error.status, error.to_json()
        await self._tell()
        return 200, answer.model_dump(mode="json", by_alias=True)

    def _routes(self) -> dict[str, Any]:
        return {
            "GET /v1/self": self._self,
            "GET /v1/peers": self._peers,
            "POST /v1/messages": self._send,
            "POST /v1/recv": self._recv,
            "POST /v1/outcome": self._outcome,
            "POST /v1/commands": self._poll,
            "POST /v1/events": self._take_events,
            "POST /v1/report": self._report,
        }

    async def _self(self, _body: bytes) -> wire.SelfInfo:
        return self.me

    async def _peers(self, _body: bytes) -> wire.PeersAnswer:
        return wire.PeersAnswer(peers=[wire.Peer(name="bob", role="agent", state="idle")])

    async def _send(self, body: bytes) -> wire.SendAnswer:
        request = wire.SendRequest.model_validate_json(body)
        if request.to == "nobody":
            raise HiveError("unknown_recipient", "there is no agent 'nobody'", "Did you mean bob?")
        for number, known in enumerate(self.sent):
            if known.idempotency_key == request.idempotency_key:
                return wire.SendAnswer(id=1000 + number, recipients=[request.to])
        self.sent.append(request)
        return wire.SendAnswer(id=1000 + len(self.sent) - 1, recipients=[request.to])

    async def _recv(self, body: bytes) -> wire.RecvAnswer:
        request = wire.RecvRequest.model_validate_json(body)
        lost = [delivery for number, delivery in self.held.items() if number not in request.holding]
        self.held = {number: delivery for number, delivery in self.held.items() if number in request.holding}
        self.queue[:0] = [delivery.model_copy(update={"redelivered": True}) for delivery in lost]
        self.receiving += 1
        await self._tell()
        with suppress(TimeoutError):
            async with asyncio.timeout(request.wait_seconds), self._changed:
                await self._changed.wait_for(lambda: self.queue)
        taken, self.queue[: request.max] = self.queue[: request.max], []
        self.held |= {delivery.id: delivery for delivery in taken}
        return wire.RecvAnswer(deliveries=taken, unread=len(self.queue))

    async def _outcome(self, body: bytes) -> wire.OutcomeAnswer:
        request = wire.OutcomeRequest.model_validate_json(body)
        self.outcomes.append(request)
        ended = [self.held.pop(number) for number in request.ids if number in self.held]
        if request.outcome == "returned":
            self.queue[:0] = [delivery.model_copy(update={"redelivered": True}) for delivery in ended]
        return wire.OutcomeAnswer(accepted=[delivery.id for delivery in ended])

    async def _poll(self, body: bytes) -> wire.CommandsAnswer:
        request = wire.CommandsRequest.model_validate_json(body)
        self.polls += 1
        self.done |= {done.id: done for done in request.done}
        await self._tell()
        with suppress(TimeoutError):
            async with asyncio.timeout(request.wait_seconds), self._changed:
                await self._changed.wait_for(lambda: self._commands)
        given, self._commands = self._commands, []
        return wire.CommandsAnswer(commands=given)

    async def _take_events(self, body: bytes) -> wire.Ok:
        request = wire.EventsRequest.model_validate_json(body)
        for event in request.events:
            if (request.instance, event.n) not in self._seen:
                self._seen.add((request.instance, event.n))
                self.events.append(event)
        return wire.Ok()

    async def _report(self, body: bytes) -> wire.Ok:
        request = wire.ReportRequest.model_validate_json(body)
        self.reports.append(json.loads(body))
        if request.usage is not None:
            await self._tell()
            await self.counting.wait()
        return wire.Ok()
