"""Dropping what nobody needs any more, and giving its room back; `docs/persistence.md` says what is kept how long.

Settled messages and ended reminders go after 30 days, what single turns used after 90, an agent's events beyond the
newest 2,000; nothing else is ever dropped here. All of it in small steps with a pause after each: they go through the
one writer, and a message that is sent meanwhile waits for one step at most.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.store import events, messages, reminders, space, usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from hyperhive.hive.hive import Hive
    from hyperhive.store.store import Store

_log = logging.getLogger(__name__)

KEEP: Final = timedelta(days=30)
#: How long it is known what single turns used; their days are kept for ever.
KEEP_TURNS: Final = timedelta(days=90)
#: Seconds between two sweeps.
_EVERY: Final = 6 * 3600
#: Rows that one step drops, pages that one gives back, and seconds between two steps.
_ROWS: Final = 100
_PAGES: Final = 200
_PAUSE: Final = 0.02


async def keep_tidy(hive: Hive) -> None:
    """Sweep now, so that a hive which never runs for long is swept too, and then now and then until cancelled."""
    while True:
        try:
            dropped = await sweep(hive)
            _log.info("dropped %d messages that were settled over 30 days ago", dropped)
        except HiveError as error:
            _log.warning("old messages could not be dropped: %s", error)
        except Exception:  # noqa: BLE001 - the top of a task: the hive goes on
            _log.exception("old messages could not be dropped")
        await asyncio.sleep(_EVERY)


async def sweep(hive: Hive) -> int:
    """Drop what is old, and give its room back; returns how many messages that were.

    Raises:
        HiveError: `storage_full`, `storage_unavailable`, `shutting_down`.
    """
    store, now = hive.store, hive.clock()
    total = await _in_steps(store, messages.drop_settled, now - KEEP)
    await _in_steps(store, reminders.drop_ended, now - KEEP)
    await _in_steps(store, usage.drop_old, now - KEEP_TURNS)
    await store.submit(usage.drop_budget_days, hive.ledger.day)
    for name in list(hive.roster.agents):
        # Beside what is trimmed while they come: a hive that is restarted often would never get there.
        await store.submit(events.trim, name)
    left = 1
    while left:
        left = await store.submit(space.give_back, _PAGES)
        await asyncio.sleep(_PAUSE)
    return total


async def _in_steps(
    store: Store, drop: Callable[[Connection, list[tuple[datetime, int]]], list[int]], before: datetime
) -> int:
    """Drop what is older, a little at a time; returns how much that was."""
    total = 0
    while dropped := await store.submit(drop, (before, _ROWS)):
        total += dropped
        await asyncio.sleep(_PAUSE)
    return total
