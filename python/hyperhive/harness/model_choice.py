"""Which model the agent's next turn uses: the declared one, or the one that the operator chose instead.

A choice is kept in `hyperhive-model` in the state directory, together with the declared model that it was made against.
It lives through restarts and rebuilds, and ends when the declaration changes: then somebody decided anew. Each change
is an event `model_changed`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hyperhive.errors import HiveError
from hyperhive.harness import state_files
from hyperhive.models import checked_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE: Final = "hyperhive-model"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Choice:
    model: str
    declared: str


class ModelChoice:
    """The operator's choice, if there is one.

    Args:
        directory: the agent's state directory.
        changed: told of each change, with the data of its event.
    """

    def __init__(self, directory: Path, changed: Callable[[dict[str, Any]], None]) -> None:
        self._path, self._changed = directory / FILE, changed
        self._choice = _load(self._path)

    def now(self, declared: str) -> str:
        """The model of the next turn, given the declared one; ends a choice that was made against another."""
        choice = self._choice
        if choice and choice.declared != declared:
            self._choice = None
            try:
                state_files.remove(self._path)
            except OSError as error:
                # Read again, it is still out of date.
                _log.warning("the choice of a model cannot be removed: %s", error)
            reason = f"its settings say {declared} now, and no longer {choice.declared}"
            self._changed({"model": declared, "previous": choice.model, "reason": reason})
        return self._choice.model if self._choice else declared

    def choose(self, model: str, declared: str) -> None:
        """Use `model` from the next turn on; the declared one ends an earlier choice.

        Raises:
            HiveError: `malformed` for a name that there is not, `storage_full` where it cannot be kept.
        """
        previous = self.now(declared)
        checked_model(model, declared)
        if model == previous:
            return
        try:
            if model == declared:
                state_files.remove(self._path)
                self._choice = None
            else:
                state_files.write(self._path, {"model": model, "declared": declared})
                self._choice = _Choice(model, declared)
        except OSError as error:
            problem = f"the choice cannot be kept in the agent's state directory: {error.strerror}"
            raise HiveError("storage_full", problem, "Make room there, and choose again") from error
        self._changed({"model": model, "previous": previous, "reason": "the operator chose it"})


def _load(path: Path) -> _Choice | None:
    content = state_files.read(path) or {}
    model, declared = content.get("model"), content.get("declared")
    if not isinstance(model, str) or not isinstance(declared, str):
        return None
    try:
        return _Choice(checked_model(model, declared), declared)
    except HiveError:
        return None
