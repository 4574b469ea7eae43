"""What every TCP port of the hive asks of a request: under which name it was called, and for the port's token.

Any port of a known name will do, because it may be reached through a tunnel or a proxy with another one; what is kept
out are names that somebody pointed at loopback from outside (DNS rebinding).
"""

from __future__ import annotations

import hmac
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from collections.abc import Collection

    from hyperhive.web.listen import Scope

#: Wrong tokens in a minute, after which further wrong ones are answered 429.
_GUESSES: Final = 10
_MINUTE: Final = 60


class Door:
    """One port's door.

    Args:
        token: what opens it.
        hosts: names under which it may be called, beside those of loopback.
        asked: whose token it is and where that comes from, for who has another one.
    """

    def __init__(self, token: str, hosts: Collection[str], asked: tuple[str, str]) -> None:
        self._token = f"Bearer {token}".encode() if token else None
        self._hosts = frozenset(host.lower() for host in hosts) | {"localhost", "127.0.0.1", "[::1]"}
        self._asked = asked
        self._wrong: deque[float] = deque(maxlen=_GUESSES)

    def wrong_host(self, scope: Scope) -> HiveError | None:
        """What is to be said to a request under a name that is not ours."""
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if name not in self._hosts and host not in self._hosts:
            return HiveError("forbidden_host", f"this hive is not called {host!r}", "Add the name to allowedHosts")
        return None

    def wrong_token(self, scope: Scope, further: str | None = None) -> HiveError | None:
        """What is to be said to a request without the token, nor a `further` one; a right one is never limited."""
        given = dict(scope["headers"]).get(b"authorization", b"")
        if further and hmac.compare_digest(given, f"Bearer {further}".encode()):
            return None
        if self._token is not None and hmac.compare_digest(given, self._token):
            return None
        now = time.monotonic()
        if given:
            if len(self._wrong) == _GUESSES and now - self._wrong[0] < _MINUTE:
                return HiveError("too_many_failures", "too many wrong tokens", "Wait a minute", retry_after=_MINUTE)
            self._wrong.append(now)
        what, hint = self._asked
        return HiveError("bad_token", f"this needs {what}", hint)
