"""What is said to systemd and taken from it, against a socket that plays systemd."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hyperhive.hive import systemd
from hyperhive.web.sockets import bind_tcp, kept_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listening


def test_nothing_is_said_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not systemd.notify("READY=1")


def test_ready_arrives(manager: socket.socket) -> None:
    assert systemd.notify("READY=1")
    assert manager.recv(100) == b"READY=1"


async def test_a_listener_is_kept_with_its_name_and_works_from_there(manager: socket.socket) -> None:
    made = await bind_tcp(0)
    port = made[0].getsockname()[1]
    systemd.keep(made[0], kept_name(made[0]))
    text, descriptors, _flags, _address = socket.recv_fds(manager, 1000, 4)
    assert text == f"FDSTORE=1\nFDNAME=tcp-{port}-v4\nFDPOLL=0".encode()
    with socket.socket(fileno=descriptors[0]) as copy:
        for one in made:
            one.close()
        again = await bind_tcp(port, {f"tcp-{port}-v4": copy})
        assert again[0] is copy
        with socket.create_connection(("127.0.0.1", port)) as near, copy.accept()[0] as far:
            assert near.getsockname() == far.getpeername()
        again[1].close()


def test_sockets_of_systemd_are_taken_over_and_not_inherited() -> None:
    """In a process of its own, because the descriptors' numbers are fixed."""
    code = (
        "import os, socket\n"
        "a, b = socket.socket(), socket.socket()\n"
        "for one in (a, b): one.bind(('127.0.0.1', 0)); one.listen()\n"
        "os.dup2(a.fileno(), 50); os.dup2(b.fileno(), 51); a.close(); b.close()\n"
        "os.dup2(50, 3); os.dup2(51, 4)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='tcp-1-v4:tcp-2-v4')\n"
        "from hyperhive.hive import systemd\n"
        "found = systemd.kept()\n"
        "print([(name, one.fileno(), one.get_inheritable()) for name, one in sorted(found.items())])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[('tcp-1-v4', 3, False), ('tcp-2-v4', 4, False)]"


def test_sockets_for_another_process_are_left_alone() -> None:
    assert systemd.kept({"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}) == {}


async def test_the_watchdog_hears_a_beat_twice_in_its_time(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    task = asyncio.create_task(systemd.beat())
    try:
        for _ in range(2):
            assert await asyncio.to_thread(manager.recv, 100) == b"WATCHDOG=1"
    finally:
        task.cancel()
        await asyncio.wait([task])
