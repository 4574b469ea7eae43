"""Which model names an operator may choose: the short ones that Claude Code knows, and full ids."""

from __future__ import annotations

import re
from typing import Final

from hyperhive.errors import HiveError

#: What `claude` offers by itself; each stands for the newest of its kind.
KNOWN: Final = ("default", "fable", "haiku", "opus", "sonnet")
_LONGEST: Final = 100
_NAME: Final = re.compile(rf"(?:{'|'.join(KNOWN)}|claude-[a-z0-9][a-z0-9.@:-]*)(?:\[1m\])?")


def checked_model(model: str, declared: str) -> str:
    """`model`, if it can be chosen for an agent whose settings say `declared`.

    Raises:
        HiveError: `malformed`, with the names that there are.
    """
    if model == declared or (len(model) <= _LONGEST and _NAME.fullmatch(model)):
        return model
    known = dict.fromkeys([*KNOWN, declared])
    hint = f"There are: {', '.join(known)}, or a full id such as claude-opus-4-1"
    raise HiveError("malformed", f"model: there is no model {model[:_LONGEST]!r}", hint, known=list(known))
