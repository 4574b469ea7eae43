"""What the operator approved and what then failed: shown to him until he has seen it, however late that is.

He says yes and goes to bed; the manager hears of the end, and he would have to ask. That it failed is written with the
step that fails it, so that no crash in between loses it. What did not build was never his decision, and is not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hyperhive.shapes import WaitingItem
from hyperhive.store import approvals, deployments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hyperhive.hive.hive import Hive

KIND: Final = "deploy_failed"
#: Characters of a reason that the list of what waits shows.
_SHOWN: Final = 200
#: Of a deployment without an approval, what precedes its number.
_OWN: Final = "d"


class FailedDeploys:
    """Those that are not dismissed.

    Args:
        hive: the parts that it works with.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._items: dict[str, WaitingItem] = {}
        hive.waiting.sources.append(self.items)
        hive.waiting.dismissals[KIND] = self._dismiss

    async def load(self) -> None:
        """Take up what earlier runs of the hive knew."""
        for row in await self._hive.store.read(approvals.shown):
            self.approval(row)
        for row in await self._hive.store.read(deployments.shown):
            self.deployment(row)

    def approval(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """An approval took a step."""
        if row.shown_since is not None:
            what = f"the new agent {row.agent}" if row.kind == "spawn" else f"the change to {row.agent}"
            title = f"{what} that you approved has failed: {_first(row.reason)}"
            self._show(str(row.id), row, title, row.id)

    def deployment(self, row: Any) -> None:  # noqa: ANN401 - a row of the store
        """A deployment took a step; those of an approval are told by that."""
        if row.shown_since is not None:
            title = f"{row.agent} could not be brought to its system, built anew: {_first(row.error)}"
            self._show(f"{_OWN}{row.id}", row, title, row.agent)

    def forget(self, name: str) -> None:
        """The agent was purged."""
        self._items = {key: item for key, item in self._items.items() if item.agent != name}

    def items(self) -> Iterator[WaitingItem]:
        """What waits for the operator."""
        yield from self._items.values()

    def _show(self, key: str, row: Any, title: str, ref: int | str) -> None:  # noqa: ANN401 - a row of the store
        item = WaitingItem(id=f"{KIND}-{key}", kind=KIND, title=title, since=row.shown_since, agent=row.agent, ref=ref)
        self._items[key] = item
        self._hive.waiting.changed()

    def _dismiss(self, key: str) -> bool:
        """The operator has seen it; whether it was there."""
        if self._items.pop(key, None) is None:
            return False
        if key.startswith(_OWN):
            self._hive.store.note(deployments.dismiss, int(key.removeprefix(_OWN)))
        else:
            self._hive.store.note(approvals.dismiss, int(key))
        return True


def _first(reason: str | None) -> str:
    return next(iter((reason or "").splitlines()), "it is not known why")[:_SHOWN]
