"""Listening sockets: path, mode, owner, both families, and a port that is taken."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hyperhive.errors import HiveError
from hyperhive.web import sockets
from hyperhive.web.sockets import MAX_SOCKET_PATH, bind_tcp, bind_unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a short path, and a umask that would let everybody in."""
    monkeypatch.chdir(tmp_path)
    umask = os.umask(0)
    yield tmp_path
    os.umask(umask)


def _mode(path: Path) -> int:
    assert stat.S_ISSOCK(path.stat().st_mode)
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_unix_socket_has_its_mode_whatever_the_umask(place: Path, mode: int) -> None:
    path = place / "s"
    with bind_unix(path, mode), socket.socket(socket.AF_UNIX) as client:
        assert _mode(path) == mode
        client.connect(str(path))
    assert os.umask(0) == 0, "the umask was not put back"


def test_it_is_closed_to_others_before_it_has_its_owner(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(os, "chown", lambda path, _uid, _gid: seen.append(_mode(path)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bind_unix(place / "s", 0o666, (1, 1)).close()
    assert seen == [0o600]


def test_as_root_it_belongs_to_its_owner(place: Path, require_tier: Callable[[str, object, str], None]) -> None:
    require_tier("root", os.geteuid() == 0, "only root gives files away")
    bind_unix(place / "s", 0o600, (12345, 54321)).close()
    found = (place / "s").stat()
    assert (found.st_uid, found.st_gid) == (12345, 54321)


def test_a_stale_file_is_replaced(place: Path) -> None:
    bind_unix(place / "s", 0o600).close()
    before = (place / "s").stat().st_ino
    with bind_unix(place / "s", 0o600), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "s"))
    (place / "file").write_text("no socket")
    bind_unix(place / "file", 0o600).close()
    assert _mode(place / "file") == 0o600
    assert before


def test_107_bytes_of_path_work_and_108_do_not(place: Path) -> None:
    room = MAX_SOCKET_PATH - len(os.fsencode(place)) - 1
    assert room > 3
    fits = place / ("ä" * ((room - 1) // 2) + "x" * (1 + (room - 1) % 2))
    assert len(os.fsencode(fits)) == 107
    bind_unix(fits, 0o600).close()
    with pytest.raises(HiveError) as caught:
        bind_unix(fits.with_name(fits.name + "x"), 0o600)
    assert caught.value.code == "path_too_long"


def test_a_directory_that_is_not_there_is_an_error_with_its_path(place: Path) -> None:
    with pytest.raises(HiveError) as caught:
        bind_unix(place / "missing" / "s", 0o600)
    assert caught.value.code == "operation_failed"
    assert "missing" in caught.value.message


async def test_tcp_listens_on_both_families_at_one_port() -> None:
    made = await bind_tcp(0)
    with ExitStack() as stack:
        addresses = [stack.enter_context(one).getsockname()[:2] for one in made]
        assert [host for host, _port in addresses] == ["127.0.0.1", "::1"][: len(made)]
        assert len({port for _host, port in addresses}) == 1
        for one in made:
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
            assert not os.get_inheritable(one.fileno())


async def test_without_ipv6_it_listens_on_the_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = sockets._bind_one

    def no_six(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        return real(family, host, port)

    monkeypatch.setattr(sockets, "_bind_one", no_six)
    made = await bind_tcp(0)
    for one in made:
        one.close()
    assert len(made) == 1
    assert "no ::1" in caplog.text


async def test_a_port_that_becomes_free_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.close()

    monkeypatch.setattr(sockets.asyncio, "sleep", wait)
    for one in await bind_tcp(port):
        one.close()
    assert waits == [0.1, 0.2, 0.4]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_port_that_stays_taken_in_either_family_is_given_up(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Half a port would let another process sit where `localhost` leads."""
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(sockets.asyncio, "sleep", wait)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(HiveError) as caught:
            await bind_tcp(port)
        assert (caught.value.code, caught.value.data["port"]) == ("port_taken", port)
        assert str(port) in caught.value.hint
    assert len(waits) == 11
    assert max(waits) == 2.0
    for one in await asyncio.wait_for(bind_tcp(port), 60):
        one.close()


async def test_a_port_that_may_not_be_had_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_arguments: object) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(sockets, "_bind_one", forbidden)
    with pytest.raises(HiveError, match="Permission denied") as caught:
        await asyncio.wait_for(bind_tcp(80), 60)
    assert caught.value.code == "port_taken"
