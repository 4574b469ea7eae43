"""Which links may be shown to an operator as "open this to sign in".

The link comes from inside an agent's container, and whatever runs there could have written it. Hive and harness both
check it here, so that it leads to Claude's own pages and nowhere else.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

#: Characters of a link; the longest that the program prints has about 700.
MAX_LINK: Final = 2000
#: Where signing in happens: these hosts, and those below them.
_HOSTS: Final = ("claude.ai", "claude.com", "anthropic.com")


def checked_link(link: str) -> str:
    """`link`, if an operator may be asked to open it.

    Raises:
        ValueError: it may not be shown, and why.
    """
    if len(link) > MAX_LINK:
        msg = f"the link is longer than {MAX_LINK} characters"
        raise ValueError(msg)
    if not all("!" <= character <= "~" and character not in '"<>\\^`{|}' for character in link):
        msg = "the link has characters that no link has"
        raise ValueError(msg)
    parts = urlsplit(link)
    host = parts.netloc.lower()
    if parts.scheme != "https" or not any(host == known or host.endswith(f".{known}") for known in _HOSTS):
        msg = f"the link does not lead to a sign-in page of Claude ({', '.join(_HOSTS)})"
        raise ValueError(msg)
    return link
