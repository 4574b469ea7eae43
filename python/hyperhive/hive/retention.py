"""Dropping what nobody needs any more: settled messages after 30 days, what single turns used after 90.

Nothing else is ever dropped here.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.store import messages, usage

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive

_log = logging.getLogger(__name__)

_KEEP: Final = timedelta(days=30)
#: How long it is known what single turns used; their days are kept for ever.
_KEEP_TURNS: Final = timedelta(days=90)
#: Seconds between two looks.
_EVERY: Final = 6 * 3600


async def keep_tidy(hive: Hive) -> None:
    """Sweep now, so that a hive which never runs for long is swept too, and then now and then until cancelled."""
    while True:
        try:
            dropped = await hive.store.submit(messages.drop_settled, hive.clock() - _KEEP)
            _log.info("dropped %d messages that were settled over 30 days ago", dropped)
            await hive.store.submit(usage.drop_old, (hive.clock() - _KEEP_TURNS, hive.ledger.day))
        except HiveError as error:
            _log.warning("old messages could not be dropped: %s", error)
        except Exception:  # noqa: BLE001 - the top of a task: the hive goes on
            _log.exception("old messages could not be dropped")
        await asyncio.sleep(_EVERY)
