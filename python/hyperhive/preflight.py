"""Looks at this machine with the eyes of the settings: what would fail later, said now, with the setting's path.

`check-config --on-this-host` prints it all, `up` and `serve` before they start. Nothing is changed, nothing is kept.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from hyperhive.config import AgentSettings, Defaults, Limits, Systems
from hyperhive.names import EVERYONE, MANAGER, OPERATOR, nearest, web_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import BaseModel

    from hyperhive.config import HiveSettings

#: Bytes that a Unix socket's path may have; and those of the longest one below the runtime directory.
_SOCKET_PATH: Final = 107
_BELOW_RUN: Final = len("/agents/") + 9 + len("/hive.sock")
#: Characters of the shortest token.
_TOKEN: Final = 32


@dataclass(frozen=True)
class Finding:
    """Something that will go wrong (`error`) or may surprise (`warning`).

    Attributes:
        level: how bad.
        path: the setting, as it is spelled in the file.
        text: what is wrong and what to do.
    """

    level: Literal["error", "warning"]
    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


def look(settings: HiveSettings, *, ports: bool = True) -> list[Finding]:
    """Everything that can be seen on this host before a hive is started.

    Args:
        settings: what would be started.
        ports: whether to try the dashboard's port, too.
    """
    found = [*_state_dir(settings), *_run_dir(settings), *_token(settings), *_credentials(settings), *_claude(settings)]
    found += _recipients(settings)
    return [*found, *_port(settings)] if ports else found


def _state_dir(settings: HiveSettings) -> Iterator[Finding]:
    path = settings.state_dir.expanduser().absolute()
    there = next((place for place in (path, *path.parents) if place.exists()), Path("/"))
    if not there.is_dir():
        yield Finding("error", "stateDir", f"{there} is no directory")
    elif not os.access(there, os.W_OK | os.X_OK):
        what = "may not be written by you" if there == path else f"cannot be made: {there} may not be written by you"
        yield Finding("error", "stateDir", f"{path} {what}; choose another with stateDir or --state-dir")


def _run_dir(settings: HiveSettings) -> Iterator[Finding]:
    """By default a long path is got round with a link; one that was chosen is taken as it is."""
    if settings.runtime_dir is None:
        return
    path = settings.runtime_dir.expanduser().absolute()
    if len(os.fsencode(path)) + _BELOW_RUN > _SOCKET_PATH:
        most = _SOCKET_PATH - _BELOW_RUN
        yield Finding("error", "runtimeDir", f"{path} is too long for sockets below it; at most {most} bytes")


def _token(settings: HiveSettings) -> Iterator[Finding]:
    files = {
        "dashboard.operatorTokenFile": settings.dashboard.operator_token_file,
        "metrics.tokenFile": settings.metrics.token_file,
    }
    for where, path in files.items():
        if path is not None:
            yield from _secret(where, path)
            yield from _length(where, path)


def _length(where: str, path: Path) -> Iterator[Finding]:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return
    if len(token) < _TOKEN:
        text = f"the token in {path} has {len(token)} characters; {_TOKEN} at least (openssl rand -base64 32)"
        yield Finding("error", where, text)


def _credentials(settings: HiveSettings) -> Iterator[Finding]:
    for variable, path in settings.defaults.credentials.items():
        yield from _secret(f"defaults.credentials.{variable}", path)
    for name, agent in settings.agents.items():
        for variable, path in agent.credentials.items():
            yield from _secret(f"agents.{name}.credentials.{variable}", path)
    if settings.notifications.url_file:
        yield from _secret("notifications.urlFile", settings.notifications.url_file)


def _secret(where: str, path: Path) -> Iterator[Finding]:
    """A file with a secret: there, readable, not empty, not for everybody."""
    try:
        status = path.stat()
    except OSError as error:
        yield Finding("error", where, f"{path}: {error.strerror}; make the file, or take the setting away")
        return
    if not stat.S_ISREG(status.st_mode):
        yield Finding("error", where, f"{path} is no file")
    elif not os.access(path, os.R_OK):
        yield Finding("error", where, f"{path} may not be read by you")
    elif status.st_size == 0:
        yield Finding("error", where, f"{path} is empty")
    if status.st_mode & stat.S_IROTH:
        yield Finding("warning", where, f"{path} may be read by everybody here; chmod 600 it")


def _claude(settings: HiveSettings) -> Iterator[Finding]:
    if not settings.declared:
        return
    spec = importlib.util.find_spec("claude_agent_sdk")
    bundled = Path(spec.origin).parent / "_bundled" / "claude" if spec and spec.origin else None
    if shutil.which("claude") is None and not (bundled and os.access(bundled, os.X_OK)):
        text = "no claude program in PATH, and none came with claude-agent-sdk; install Claude Code"
        yield Finding("error", "agents", text)


def _recipients(settings: HiveSettings) -> Iterator[Finding]:
    """Names that are not declared: of agents that are made at run time, or mistyped."""
    known = {*settings.agents, OPERATOR, MANAGER, EVERYONE}
    for name, agent in settings.agents.items():
        for recipient in agent.allowed_recipients or []:
            if recipient not in known:
                near = nearest(recipient, known)
                meant = f"; did you mean '{near[0]}'?" if near else ""
                text = f"no agent '{recipient}' is declared, so there is one only where it is spawned{meant}"
                yield Finding("warning", f"agents.{name}.allowedRecipients", text)


def _port(settings: HiveSettings) -> Iterator[Finding]:
    port = settings.dashboard.port
    if not port_is_free(port):
        who = [name for name in settings.declared if web_port(name) == port]
        also = f"; it is also the page's port of '{who[0]}'" if who else ""
        text = f"port {port} is taken by another process (ss -ltnp 'sport = :{port}'){also}; choose another"
        yield Finding("error", "dashboard.port", text)


def port_is_free(port: int) -> bool:
    """Whether this process could listen on `port`, on both loopback addresses."""
    return all(_can_bind(*place, port) for place in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")))


def _can_bind(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        return error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    return True


def unapplied(settings: HiveSettings) -> list[Finding]:
    """Settings that are accepted but not acted on, by this version or this runtime, so that none is ignored in silence.

    `builder` is left out: the NixOS module writes it for every hive, and nobody sets it.
    """
    found = [
        *_differing("database", settings.database, type(settings.database)()),
    ]
    warnings = [Finding("warning", path, "this version does not act on it yet") for path in found]
    if settings.runtime != "nixos-container":
        text = "only the runtime nixos-container acts on it"
        warnings += [Finding("warning", path, text) for path in _of_containers(settings)]
    return warnings


def _of_containers(settings: HiveSettings) -> Iterator[str]:
    """Settings that only the runtime `nixos-container` acts on."""
    yield from _differing("systems", settings.systems, Systems())
    yield from _differing("defaults.limits", settings.defaults.limits, Defaults().limits)
    for name, agent in settings.agents.items():
        own = ("system", "config_file", "extra_nspawn_flags", "bind_mounts")
        yield from _differing(f"agents.{name}", agent, AgentSettings(), own)
        yield from _differing(f"agents.{name}.limits", agent.limits, Limits())


def _differing(path: str, given: BaseModel, default: BaseModel, fields: Iterable[str] | None = None) -> Iterator[str]:
    from pydantic.alias_generators import to_camel  # noqa: PLC0415 - for this one line

    for name in fields or type(given).model_fields:
        if getattr(given, name) != getattr(default, name):
            yield f"{path}.{to_camel(name)}"
