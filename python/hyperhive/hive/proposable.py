"""Whether an agent takes changes of its configuration at all; where not, why."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive
    from hyperhive.hive.layout import Layout


def check_takes_proposals(hive: Hive, name: str) -> None:
    """Refuse a change of an agent that is declared not to be changed, or whose own system cannot be built upon.

    Raises:
        HiveError: `unknown_agent`, `not_mutable`.
    """
    hive.lifecycle.find(name)
    declared = hive.settings.agents.get(name)
    if declared is not None and not declared.mutable:
        what = f"'{name}' takes no proposals: the settings say mutable = false"
        raise HiveError("not_mutable", what, "Ask the operator to change its declaration")
    check_can_be_built_upon(hive, name)


def check_can_be_built_upon(hive: Hive, name: str) -> None:
    """Refuse a change of an agent whose own system cannot be built upon.

    Raises:
        HiveError: `not_mutable`.
    """
    declared = hive.settings.agents.get(name)
    if declared is not None and declared.system is not None and declared.config_file is None:
        what = f"'{name}' takes no proposals: its system comes from an inline config, which cannot be built upon"
        raise HiveError("not_mutable", what, "Ask the operator to make it a configFile")


def has_state(layout: Layout, name: str) -> bool:
    """Whether the state directory of an agent is there."""
    try:
        found = (layout.of_agent(name) / "state").lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode)
