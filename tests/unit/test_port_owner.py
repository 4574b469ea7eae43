"""Who has a port: the process and its program, as far as /proc says, and never more than plain words."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from hyperhive.web.port_owner import owners, taken

if TYPE_CHECKING:
    from pathlib import Path

_LISTENING = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    "   0: 0100007F:22AF 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n"
    "   1: 0100007F:22AF 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n"
)


def test_a_real_owner_is_named_with_its_number_and_program() -> None:
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        said = taken(port, owners([port])[port])
        other.communicate("\n")
    assert said.startswith(f"port {port} is taken by process {other.pid} (python")


def test_where_nothing_is_seen_it_is_another_process(tmp_path: Path) -> None:
    assert owners([8879], tmp_path) == {}
    assert taken(8879, None) == "port 8879 is taken by another process"


def _process(proc: Path, pid: int, inode: int, name: str) -> None:
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "fd" / "5").symlink_to(f"socket:[{inode}]")
    (proc / str(pid) / "comm").write_text(name + "\n")


def test_a_program_cannot_say_more_than_its_name(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(_LISTENING)
    _process(tmp_path, 12, 4711, "ev\x1b[31mil\nis 'fine'")
    assert owners([8879], tmp_path) == {8879: "process 12 (ev??31mil?is ?fine?)"}


def test_connections_are_no_owners(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(_LISTENING)
    _process(tmp_path, 13, 4712, "browser")
    assert owners([8879], tmp_path) == {}
