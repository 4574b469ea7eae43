"""Which runtime a hive gets: the one that was asked for, or the best that works here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.runtime.bubblewrap import BubblewrapRuntime
from hyperhive.runtime.container_host import check_host
from hyperhive.runtime.nixos_container import NixosContainerRuntime
from hyperhive.runtime.process import ProcessRuntime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hyperhive.config import RuntimeName
    from hyperhive.runtime.base import Runtime

_log = logging.getLogger(__name__)


def select_runtime(
    name: RuntimeName, *, command: Sequence[str] | None = None, environment: Mapping[str, str] | None = None
) -> Runtime:
    """The runtime for the setting `runtime`.

    Args:
        name: `auto` is bubblewrap where it works and process elsewhere.
        command: how a harness is started; the harness of this package by default. A container has its own.
        environment: more for the environment of each harness; not for containers, whose harness asks the hive.

    Raises:
        HiveError: `runtime_unavailable` where the one that was asked for does not work here.
    """
    if name == "nixos-container":
        check_host()
        return NixosContainerRuntime()
    if name == "process":
        return ProcessRuntime(command=command, environment=environment)
    try:
        return BubblewrapRuntime(command=command, environment=environment)
    except HiveError as error:
        if name == "bubblewrap" or error.code != "runtime_unavailable":
            raise
        _log.warning("%s; agents run as plain processes", error.message)
        return ProcessRuntime(command=command, environment=environment)
