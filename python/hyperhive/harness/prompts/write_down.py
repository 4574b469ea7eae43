"""What the agent is told before its conversation is shortened by itself."""

from __future__ import annotations

from typing import Final

WRITE_DOWN: Final = """\
This comes from the hive itself; nobody's message woke you. Your conversation nearly fills what you can hold, and is \
shortened to a summary right after this turn. Write down now, in notes.md in your directory, what you must not lose: \
what you are at, what you promised to whom, which messages you still wait for, what you found out, where things lie. \
Do nothing else; messages that wait for you come afterwards."""
