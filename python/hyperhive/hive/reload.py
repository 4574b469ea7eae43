"""Taking new settings into a running hive. Settings that are wrong leave everything as it is, and say so.

A changed prompt or model takes effect with an agent's next turn, limits at once, what needs a restart when the turn has
ended; new agents are started, those that left the settings become tombstones. What only a start of the daemon can
change is named in the log.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hyperhive.config import HiveSettings
    from hyperhive.hive.hive import Hive

_log = logging.getLogger(__name__)

_PREFIX: Final = "the settings were not taken in"
#: What is read once, when the daemon starts.
_AT_START: Final = ("state_dir", "runtime_dir", "runtime", "database", "dashboard", "metrics", "group")


async def reload_when(asked: asyncio.Event, hive: Hive, read: Callable[[], HiveSettings]) -> None:
    """Take in what `read` gives, each time that it is asked for; until cancelled."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            await apply(hive, await asyncio.to_thread(read))
        except HiveError as error:
            _log.error("%s, those from before stay in force: %s", _PREFIX, error)
            hive.warn(_PREFIX, f", those from before stay in force: {error}")
        else:
            hive.warn(_PREFIX, None)


async def apply(hive: Hive, settings: HiveSettings) -> None:
    """Bring a running hive to new settings."""
    before = hive.settings
    dashboard = settings.dashboard.model_copy(update={"port": before.dashboard.port})
    if settings.dashboard.port == 0:
        settings = settings.model_copy(update={"dashboard": dashboard})
    changed = [name for name in _AT_START if getattr(before, name) != getattr(settings, name)]
    if changed:
        _log.warning("restart the daemon for what changed in: %s", ", ".join(changed))
    hive.settings = hive.roster.settings = settings.model_copy(update={name: getattr(before, name) for name in changed})
    hive.notifier.look()
    await hive.budgets.reload()
    started, stopped, _work = await hive.lifecycle.reconcile()
    _log.info("new settings are in force; to be started: %s; to be stopped: %s", started, stopped)
