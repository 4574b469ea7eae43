"""A broker with its reminders and schedules on a real store, and a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from broker_bed import BrokerBed

from hyperhive.config import HiveSettings
from hyperhive.hive.reminders import Reminders
from hyperhive.hive.schedules import Schedules
from hyperhive.names import MANAGER
from hyperhive.store import messages
from hyperhive.store import reminders as statements
from hyperhive.wire import RemindRequest

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.hive.limits import Limits


class ReminderBed(BrokerBed):
    """What is due is sent when the test lets time pass."""

    reminders: Reminders
    schedules: Schedules

    def __init__(self, directory: Path, limits: Limits | None = None) -> None:
        super().__init__(directory, limits)
        self.rows: list[tuple[int, str]] = []
        self.settings = HiveSettings(time_zone="UTC")

    async def open(self) -> Self:
        await super().open()
        self.reminders = Reminders(self.store, self.broker, self.directory, self.clock, self._told)
        self.schedules = Schedules(self.store, self.broker, self.directory, self.clock)
        await self.schedules.declare(self.settings)
        await self.reminders.load()
        await self.schedules.begin()
        return self

    def _told(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        self.rows.append((row.id, row.status))

    async def close(self) -> None:
        self.reminders.close()
        self.schedules.close()
        await self.idle()
        await super().close()

    async def restart(self, *, kill: bool) -> None:
        if kill:
            self.reminders.close()
            self.schedules.close()
        await super().restart(kill=kill)

    async def remind(self, agent: str = "alice", message: str = "look", **more: Any) -> Any:  # noqa: ANN401 - rows
        if not {"at", "delay_seconds"} & more.keys():
            more["delay_seconds"] = 60
        return await self.reminders.remember(agent, RemindRequest(message=message, **more))

    async def declare(self, agent: str = "alice", zone: str = "UTC", **schedules: dict[str, Any]) -> None:
        """Take in settings with these schedules of one agent, and no others."""
        own = {name: {"message": f"do {name}", **said} for name, said in schedules.items()}
        raw: dict[str, Any] = {"time_zone": zone, "agents": {agent: {"schedules": own}} if own else {}}
        if agent == MANAGER:
            raw |= {"manager": {"schedules": own}, "agents": {}}
        self.settings = HiveSettings.model_validate(raw)
        await self.schedules.declare(self.settings)

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and what is due be sent."""
        self.clock.advance(seconds)
        self.reminders.deadlines.look()
        self.schedules.deadlines.look()
        await self.idle()

    async def idle(self) -> None:
        await self.reminders.deadlines.idle()
        await self.schedules.deadlines.idle()

    async def revive(self, agent: str) -> None:
        await super().revive(agent)
        self.reminders.agent_changed(agent)
        self.schedules.agent_changed(agent)
        await self.idle()

    async def get(self, number: int) -> Any:  # noqa: ANN401 - rows
        return await self.store.read(statements.get, number)

    async def words(self, agent: str = "alice") -> list[str]:
        """What `reminder` wrote to an agent, handed out and done with."""
        found: list[str] = []
        while got := (await self.recv(agent, most=32)).deliveries:
            await self.outcome(agent, [delivery.id for delivery in got], "settled")
            found += [delivery.body for delivery in got if delivery.from_ == "reminder"]
        return found

    async def stored(self, agent: str = "alice") -> list[str]:
        """What `reminder` ever wrote to an agent, oldest first."""
        wanted = messages.Filter(sender="reminder", recipient=agent, limit=2000)
        return [row.body for row in reversed(await self.store.read(messages.page, wanted))]
