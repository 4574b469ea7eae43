"""Words that settings are made of, and how one is checked: shared by the modules of the settings."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def matching(pattern: re.Pattern[str], what: str, example: str) -> AfterValidator:
    """A check that a text is wholly `pattern`; else it says `what` it is not, with an `example`."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            msg = f"{text!r} is no {what}; write for example {example}"
            raise ValueError(msg)
        return text

    return AfterValidator(check)


VariableName = Annotated[str, matching(_VARIABLE, "name of an environment variable", "ANTHROPIC_BASE_URL")]
