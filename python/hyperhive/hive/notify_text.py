"""What an operator who is not looking is told: titles of what waits, and where to settle it. No token, ever.

Titles have words of agents in them; here they are made one line without anything that a terminal, a mail header or a
telephone could take for more than text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperhive.hive.hive import Hive
    from hyperhive.shapes import WaitingItem

#: Characters of one title, and titles of one text.
_LONGEST: Final = 200
_TITLES: Final = 5
_HEADLINES: Final = {
    "approval": "an approval",
    "budget_warning": "a budget is nearly used up",
    "crash": "a crash",
    "dead_letter": "a dead letter",
    "deploy_failed": "a deployment has failed",
    "failed": "an agent has failed",
    "hold": "an agent is held",
    "login_expiry": "a login ends",
    "mail": "a message",
    "needs_login": "a login",
    "outage": "the model does not answer",
    "over_budget": "a budget is used up",
    "question": "a question",
    "unreachable": "an agent does not answer",
}
#: Kinds that are settled at the agent's page.
_AT_PAGE: Final = frozenset({"failed", "hold", "login_expiry", "needs_login", "unreachable"})


@dataclass(frozen=True)
class Text:
    """One text.

    Attributes:
        headline: ASCII, for a header.
        lines: what waits, a line each.
        link: where to settle it.
    """

    headline: str
    lines: tuple[str, ...]
    link: str

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{'; '.join(self.lines)} - {self.link}"


def text_of(hive: Hive, items: Sequence[WaitingItem]) -> Text:
    """The text for what waits; the oldest first, and of many only the first few."""
    lines = [plain(item.title) for item in items[:_TITLES]]
    if len(items) == 1:
        what = _HEADLINES.get(items[0].kind, "something")
    else:
        what = f"{len(items)} things"
        lines = [f"{len(items)} things wait for you", *lines]
        if len(items) > _TITLES:
            lines.append(f"and {len(items) - _TITLES} more")
    host = hive.name.encode("ascii", "replace").decode()
    return Text(f"hyperhive on {plain(host)}: {what}", tuple(lines), _link(hive, items))


def plain(text: str) -> str:
    """One line of what can be printed, without what changes the direction or is not seen."""
    words = "".join(char if char.isprintable() else " " for char in text).split()
    line = " ".join(words)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _link(hive: Hive, items: Sequence[WaitingItem]) -> str:
    """The dashboard, under the name that it is reached by from elsewhere, or an agent's page of it."""
    dashboard = hive.settings.dashboard
    base = f"https://{dashboard.allowed_hosts[0]}" if dashboard.allowed_hosts else f"http://localhost:{dashboard.port}"
    first = items[0]
    at_page = len(items) == 1 and first.kind in _AT_PAGE and first.agent
    return f"{base}/agents/{first.agent}/" if at_page else f"{base}/"
