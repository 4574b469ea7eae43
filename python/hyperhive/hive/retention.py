"""Dropping what nobody needs any more: settled messages after 30 days. Nothing else is ever dropped here."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.store import messages

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive

_log = logging.getLogger(__name__)

_KEEP: Final = timedelta(days=30)
#: Seconds between two looks.
_EVERY: Final = 6 * 3600


async def keep_tidy(hive: Hive) -> None:
    """Sweep now, so that a hive which never runs for long is swept too, and then now and then until cancelled."""
    while True:
        try:
            dropped = await hive.store.submit(messages.drop_settled, hive.clock() - _KEEP)
            _log.info("dropped %d messages that were settled over 30 days ago", dropped)
        except HiveError as error:
            _log.warning("old messages could not be dropped: %s", error)
        except Exception:  # noqa: BLE001 - the top of a task: the hive goes on
            _log.exception("old messages could not be dropped")
        await asyncio.sleep(_EVERY)
