"""What `claude auth login` says: the link in it, and its last line in a form that may be shown."""

from __future__ import annotations

import re
from typing import Final

#: Characters of the output that are kept; the program says a few lines.
_KEPT: Final = 16 * 1024
#: Characters of a line that is shown.
_SHOWN: Final = 300
_TERMINAL: Final = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.?")
_LINK: Final = re.compile(r"https?://\S+(?=\s)")
_PROMPT: Final = re.compile(r"paste code here[^>]*>", re.IGNORECASE)
_TOKEN: Final = re.compile(r"sk-ant-[\w-]+")
#: Shorter parts of a code stand in innocent words.
_SHORTEST: Final = 4


class Heard:
    """The output so far, or since a code was given."""

    __slots__ = ("_raw", "_secrets")

    def __init__(self) -> None:
        self._raw = b""
        self._secrets: list[str] = []

    def add(self, chunk: bytes) -> None:
        """The program said this."""
        self._raw = (self._raw + chunk)[-_KEPT:]

    def code(self, code: str) -> None:
        """This code is given now: what was said before is done with, and from now on the code is not shown."""
        self._raw = b""
        parts = {code, *re.split(r"[#\s]", code)}
        self._secrets = sorted((part for part in parts if len(part) >= _SHORTEST), key=lambda part: -len(part))

    def link(self) -> str | None:
        """The first link that was said whole."""
        found = _LINK.search(self._text())
        return found.group() if found else None

    def last(self) -> str | None:
        """The last line with words in it."""
        text = _PROMPT.sub("", self._text())
        for secret in self._secrets:
            text = text.replace(secret, "[code]")
        text = _LINK.sub("[link]", _TOKEN.sub("[token]", text) + "\n")
        lines = [shown for line in text.splitlines() if (shown := "".join(filter(str.isprintable, line)).strip())]
        return lines[-1][:_SHOWN] if lines else None

    def _text(self) -> str:
        return _TERMINAL.sub("", self._raw.decode(errors="replace"))
