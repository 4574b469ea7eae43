"""Words of the hive that the manager could not take: they go on to the operator's inbox instead of into a list.

Such a word says that something has happened; nobody waits for its answer, and nothing is gained by trying it again.
So it is no dead letter that the operator would have to settle, one for each thing that happened while the manager did
not work. It counts as one all the same: three in a row put a hold on the manager.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from hyperhive.hive.background import begin
from hyperhive.names import MANAGER, OPERATOR, SYSTEM
from hyperhive.store import messages

if TYPE_CHECKING:
    import asyncio

    from hyperhive.hive.hive import Hive
    from hyperhive.hive.inbox import Entry

_log = logging.getLogger(__name__)

#: How the body of such a word begins; see `ManagerEvents`. Ends of questions, which somebody waits for, do not.
_BEGINNING: Final = '{"event": '
#: Characters of a word, and of the reason why it was not taken, that the operator is told.
_SHOWN: Final = 4000
_REASON: Final = 1000


def is_word(entry: Entry) -> bool:
    """Whether a message only tells the manager that something has happened."""
    return (entry.sender, entry.recipient) == (SYSTEM, MANAGER) and entry.preview.startswith(_BEGINNING)


class Unheard:
    """Passes such words on.

    Args:
        hive: the parts that it works with.
        group: owns what goes on in the background.
    """

    def __init__(self, hive: Hive, group: asyncio.TaskGroup) -> None:
        self._hive = hive
        self._group = group

    def take(self, entry: Entry) -> bool:
        """Whether a dead letter is such a word; then it is passed on soon, also if it was left by an earlier run."""
        if is_word(entry):
            begin(self._group, self._pass_on(entry), f"pass message {entry.id} on")
            return True
        return False

    async def _pass_on(self, entry: Entry) -> None:
        hive = self._hive
        try:
            if MANAGER in hive.roster.members():
                body = (await hive.store.read(messages.bodies, (entry.id,))).get(entry.id, entry.preview)
                why = (entry.reason or "it is not known why")[:_REASON]
                text = f"The manager could not take this from the hive (message {entry.id}): {body[:_SHOWN]}\n\n{why}"
                # Told first: where the hive ends in between, it is told once all the same.
                await hive.broker.send(SYSTEM, OPERATOR, text, idempotency_key=f"unheard-{entry.id}")
            await hive.dead_letters.discard(entry.id)
        except Exception:  # noqa: BLE001 - the top of a task: it is a dead letter, and found again at the next start
            _log.exception("what the manager did not take was not passed on: message %d", entry.id)
