"""Whose login Claude uses, and when it ends: what the hive needs to know of it, and never the login itself.

Agents with the same digest share an account, and so its limits. It is made of the credential that Claude would take,
or else of the account that signed in. The files are the agent's own, so what they say is a claim; the worst that a
forged one does is to let this agent rest with others.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from hyperhive.harness import state_files
from hyperhive.harness.login import LOGIN_VARIABLES, stored_login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hyperhive.harness.settings import Settings

#: Bytes of the files; `.claude.json` remembers much beside the account.
_LARGEST_LOGIN: Final = 1024 * 1024
_LARGEST_CONFIG: Final = 16 * 1024 * 1024
#: Hexadecimal digits: enough to tell accounts apart, too few to try a secret on.
_DIGITS: Final = 16


def account_digest(environment: Mapping[str, str], settings: Settings) -> str | None:
    """What stands for the credential or account in use; None without a login.

    Args:
        environment: the one that Claude gets.
        settings: where the stored login is.
    """
    given = next((environment[name] for name in LOGIN_VARIABLES if environment.get(name)), None)
    if given:
        return _digest("credential", given)
    login = _stored(settings)
    if not login:
        return None
    about = (state_files.read(settings.claude_config / ".claude.json", _LARGEST_CONFIG) or {}).get("oauthAccount")
    uuid = about.get("accountUuid") if isinstance(about, dict) else None
    token = login.get("refreshToken") or login.get("accessToken")
    if isinstance(uuid, str) and uuid:
        return _digest("account", uuid)
    return _digest("credential", token) if isinstance(token, str) and token else None


def login_expiry(settings: Settings) -> datetime | None:
    """When the stored login ends for good, if it says so: that of the refresh token, or of the only token there is."""
    login = _stored(settings)
    when = login.get("refreshTokenExpiresAt")
    if when is None and not login.get("refreshToken"):
        when = login.get("expiresAt")
    if not isinstance(when, (int, float)) or isinstance(when, bool) or when <= 0:
        return None
    try:
        return datetime.fromtimestamp(when / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _stored(settings: Settings) -> dict[str, Any]:
    found = (state_files.read(stored_login(settings), _LARGEST_LOGIN) or {}).get("claudeAiOauth")
    return found if isinstance(found, dict) else {}


def _digest(kind: str, value: str) -> str:
    return hashlib.sha256(f"hyperhive {kind}: {value}".encode()).hexdigest()[:_DIGITS]
