"""What the garbage collector of the store must not take: results that wait for a decision, and the last that ran.

Links in the hive's own directory of roots, beside those of the containers. They are made by the hive, not by the user
that builds: what an agent wrote cannot keep anything in the store.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

#: Systems that stay of each agent: the one that runs and those before it.
KEPT: Final = 3


class Roots:
    """The links.

    Args:
        directory: where the store looks for roots.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def hold(self, approval_id: int, system: Path) -> None:
        """Keep a result until it is decided."""
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        _link(self._proposal(approval_id), system)

    def held(self, approval_id: int) -> Path | None:
        """The result that is kept for an approval."""
        link = self._proposal(approval_id)
        return link.readlink() if link.is_symlink() else None

    def keep(self, agent: str, number: int, system: Path) -> None:
        """Keep what runs, with those before it. `number` grows from one to the next. Idempotent."""
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        _link(self._directory / f"kept-{agent}-{number}", system)
        for _number, link in sorted(self._kept(agent), reverse=True)[KEPT:]:
            link.unlink(missing_ok=True)

    def drop(self, approval_id: int) -> None:
        """Let go of a result. Idempotent."""
        self._proposal(approval_id).unlink(missing_ok=True)

    def sweep(self, wanted: Collection[int]) -> None:
        """Let go of every result that is not wanted."""
        for link in self._directory.glob("proposal-*"):
            if link.name not in {f"proposal-{number}" for number in wanted}:
                link.unlink(missing_ok=True)

    def purge(self, agent: str) -> None:
        """Let go of all that ran."""
        for _number, link in self._kept(agent):
            link.unlink(missing_ok=True)

    def _proposal(self, approval_id: int) -> Path:
        return self._directory / f"proposal-{approval_id}"

    def _kept(self, agent: str) -> Iterator[tuple[int, Path]]:
        for link in self._directory.glob(f"kept-{agent}-*"):
            number = link.name.removeprefix(f"kept-{agent}-")
            if number.isdecimal():
                yield int(number), link


def _link(link: Path, target: Path) -> None:
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.fspath(target))
    fresh.replace(link)
