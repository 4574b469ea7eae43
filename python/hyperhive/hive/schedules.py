"""Schedules of the settings: messages that an agent gets again and again, each time once.

How far a schedule has come is on disk, and is written in the transaction that writes its message. What came due while
the hive was down or the agent destroyed is one message that says how many times it stands for. So is what comes due
before the agent has done with the one before: a slow, stopped or paused agent has one of each waiting, not a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperhive.hive.deadlines import Deadlines
from hyperhive.hive.reminders import ROOM
from hyperhive.hive.schedule_rules import missed, rule_of, scheduled_body
from hyperhive.names import REMINDER
from hyperhive.shapes import ScheduleRow
from hyperhive.store import schedules
from hyperhive.store.messages import NewMessage
from hyperhive.store.schedules import Declared, Fired, Firing
from hyperhive.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hyperhive.clock import Clock
    from hyperhive.config import HiveSettings
    from hyperhive.hive.broker import Broker
    from hyperhive.hive.directory import Directory
    from hyperhive.hive.schedule_rules import Rule
    from hyperhive.store.messages import Accepted
    from hyperhive.store.store import Store

Key = tuple[str, str]
"""Agent and name."""


@dataclass(slots=True)
class _Schedule:
    rule: Rule
    message: str
    since: datetime
    last_at: datetime | None
    sent_as: int | None


class Schedules:
    """The schedules of a hive.

    Args:
        store: where it is kept how far they have come.
        broker: delivers.
        directory: who there is.
        clock: the time.
    """

    def __init__(self, store: Store, broker: Broker, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._broker = broker
        self._directory = directory
        self._clock = clock
        self._known: dict[Key, _Schedule] = {}
        self._asleep: set[Key] = set()
        self._begun = False
        self.deadlines = Deadlines[Key](clock, self._fire)

    async def declare(self, settings: HiveSettings) -> None:
        """Bring everything to what the settings in force declare; nothing is sent before `begin`."""
        zone = zone_of(settings.time_zone)
        declared = {
            (agent, name): (rule_of(own, zone), own.message)
            for agent, its in settings.declared.items()
            for name, own in its.schedules.items()
        }
        rules = {key: str(rule) for key, (rule, _message) in declared.items()}
        if not rules and not self._known and self._begun:
            return

        def take(rows: Sequence[Any]) -> None:
            self._known = {}
            for row in rows:
                rule, message = declared[row.agent, row.name]
                self._known[row.agent, row.name] = _Schedule(rule, message, row.since, row.last_at, row.message)
            self._set_all()

        await self._store.submit(schedules.declare, Declared(rules, self._clock()), take)

    async def begin(self) -> None:
        """Send what came due while the hive was down, and from now on. After the broker has loaded."""
        self._begun = True
        self.deadlines.look()
        await self.deadlines.idle()

    def close(self) -> None:
        """Send nothing any more; what is due is sent at the next start."""
        self.deadlines.close()

    def rows(self) -> list[ScheduleRow]:
        """All of them, by agent and name."""
        members = self._directory.members()
        return [
            ScheduleRow(
                agent=agent,
                name=name,
                rule=str(own.rule),
                message=own.message,
                next_at=self._next(own) if agent in members else None,
                last_at=own.last_at,
            )
            for (agent, name), own in sorted(self._known.items())
        ]

    def _next(self, own: _Schedule) -> datetime | None:
        return own.rule.following(own.since, max(own.last_at or own.since, self._clock()))

    def agent_changed(self, agent: str) -> None:
        """An agent may be one again: what came due meanwhile is sent."""
        if self._asleep and agent in self._directory.members():
            woken = {key for key in self._asleep if key[0] == agent}
            self._asleep -= woken
            for key in sorted(woken):
                self.deadlines.set(key, self._clock())
            self.deadlines.look()

    def forget(self, agent: str) -> None:
        """An agent was purged, and what is known of its schedules with it; a new declaration begins anew."""
        self._known = {key: own for key, own in self._known.items() if key[0] != agent}
        self._set_all()

    def _set_all(self) -> None:
        self.deadlines.drop_all(lambda _key: True)
        self._asleep.clear()
        for key, own in self._known.items():
            self._set(key, own.rule.following(own.since, own.last_at or own.since))
        if self._begun:
            self.deadlines.look()

    def _set(self, key: Key, at: datetime | None) -> None:
        if at is not None:
            self.deadlines.set(key, at)

    # --- sending

    async def _fire(self, key: Key) -> None:
        agent, name = key
        own, now = self._known.get(key), self._clock()
        if own is None:
            return
        times = missed(own.rule, own.since, own.last_at, now)
        if agent not in self._directory.members():
            self._asleep.add(key)
        elif times is None or self._broker.is_open(agent, own.sent_as):
            self._come_back(key, own.rule.following(own.since, now))
        elif not self._broker.admission.has_room(agent):
            self._come_back(key, now + ROOM)
        else:
            body = scheduled_body(name, own.rule, times, own.message, now)
            message = NewMessage(REMINDER, (agent,), body, now)
            firing = Firing(agent, name, str(own.rule), own.last_at, now, message)
            await self._broker.carry(schedules.fire, firing, agent, partial(self._fired, key, own))

    def _come_back(self, key: Key, at: datetime | None) -> None:
        self._set(key, at)
        self.deadlines.look()

    def _fired(self, key: Key, own: _Schedule, done: Fired | None) -> tuple[NewMessage, Accepted] | None:
        if done is None:
            return None
        # Other settings may have been taken in since: then they are those of the same rule, or it was not sent.
        own = self._known.get(key, own)
        own.last_at, own.sent_as = done.row.last_at, done.row.message
        self._come_back(key, own.rule.following(own.since, done.row.last_at))
        return done.message
