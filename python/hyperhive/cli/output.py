"""What the commands print: JSON for programs, tables and lines for people. Rich is imported when something is shown.

Nothing is printed as markup: what agents wrote comes as `plain` text, styles are given beside it.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from hyperhive.cli.text import clock, colour_of, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console
    from rich.text import Text


@functools.cache
def console(stderr: bool = False) -> Console:  # noqa: FBT001, FBT002 - which of two
    """The terminal, or whatever stands in its place; colours only where it is one and NO_COLOR is not set."""
    from rich.console import Console  # noqa: PLC0415 - start-up time

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        emoji=False,
        highlight=False,
        force_terminal=stream.isatty(),
        no_color=bool(os.environ.get("NO_COLOR")) or not stream.isatty(),
    )


def show_json(answer: object) -> None:
    """An answer for programs, as the API gave it. Only ASCII, so that also on a terminal it is nothing but text."""
    print(json.dumps(answer, indent=2))  # noqa: T201 - this is what prints


def show_json_line(answer: object) -> None:
    """One of many answers, as one line."""
    print(json.dumps(answer, separators=(",", ":")), flush=True)  # noqa: T201


def say(text: str = "") -> None:
    """A line for people."""
    print(text, flush=True)  # noqa: T201


def note(text: str) -> None:
    """A line for people beside the answer proper."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def styled(*parts: tuple[str, str]) -> Text:
    """Text of parts, each with its style."""
    from rich.text import Text  # noqa: PLC0415

    return Text.assemble(*parts, end="")


def table(columns: Sequence[tuple[str, dict[str, Any]]], rows: Iterable[Sequence[tuple[str, str]]]) -> None:
    """A table without lines, cut to the terminal's width.

    Args:
        columns: heading and what `rich` should know of the column.
        rows: cells, each with its style; must be `plain`.
    """
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    # What has a ratio gives way to the others only in a table that is as wide as the terminal.
    expand = any("ratio" in about for _heading, about in columns)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=expand)
    for heading, about in columns:
        made.add_column(heading, **{"no_wrap": True, "overflow": "ellipsis", **about})
    for row in rows:
        made.add_row(*(Text(cell, style=style) for cell, style in row))
    console().print(made)


def show_message(message: dict[str, Any]) -> None:
    """A message: a line about it, then its body, indented so that it cannot pose as another message's line."""
    sender, to = plain(message.get("from"), one_line=True), plain(message.get("to"), one_line=True)
    about = f"  #{message.get('id')}"
    if message.get("inReplyTo"):
        about += f"  re #{message['inReplyTo']}"
    if message.get("deadLetter"):
        about += "  dead letter"
    head = styled(
        (clock(message.get("sentAt")), "dim"),
        ("  ", ""),
        (sender, f"bold {colour_of(sender)}"),
        (" → ", "dim"),
        (to, colour_of(to)),
        (about, "dim"),
    )
    console().print(head, soft_wrap=True)
    body = plain(message.get("body", ""))
    for line in (body + " …" if message.get("truncated") else body).splitlines() or [""]:
        console().print(styled((f"    {line}", "")), soft_wrap=True)
    if message.get("deadLetter") and message.get("reason"):
        console().print(styled((f"    failed: {plain(message['reason'], one_line=True)}", "red")), soft_wrap=True)


def show_messages(messages: Sequence[dict[str, Any]], none: str) -> None:
    """Messages as the API lists them, newest first, the newest at the bottom."""
    for message in reversed(messages):
        show_message(message)
    if not messages:
        note(none)
