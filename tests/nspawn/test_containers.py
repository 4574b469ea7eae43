"""The real daemon under a real systemd, with real containers and the real claude: what an operator relies on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nspawn_swarm import Swarm

pytestmark = [pytest.mark.tier("nspawn"), pytest.mark.asyncio(loop_scope="session")]

KEY = "scripted-key-of-the-test"


async def test_a_message_is_answered_from_inside_a_container(hive: Swarm) -> None:
    await hive.ready()
    answer = await hive.ask("alice", "What is six times seven?")
    assert answer.body == "42"
    row = await hive.in_state("alice", "idle")
    assert (row.runtime, row.problem) == ("nixos-container", None)


async def test_credentials_arrive_as_files_and_nowhere_else(hive: Swarm) -> None:
    await hive.ready()
    place = "/run/credentials/hyperhive-harness.service/ANTHROPIC_API_KEY"
    assert await hive.host.inside("alice", "cat", place) == KEY
    assert await hive.host.inside("alice", "stat", "-c", "%a %u", place) in {"400 0", "440 0"}
    shown = await hive.host.run("systemctl", "show", "container@h-alice", "hyperhive")
    shown += await hive.host.run("sh", "-c", "cat /etc/nixos-containers/* /run/systemd/system/container*/*")
    shown += await hive.host.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    shown += await hive.host.inside("alice", "systemctl", "show", "hyperhive-harness")
    shown += await hive.host.run("journalctl", "--no-pager")
    assert "load-credential=ANTHROPIC_API_KEY" in shown
    assert KEY not in shown


# Root inside is not root outside: the three attacks that work without users of its own.


async def test_root_inside_reads_no_packets_of_the_loopback(hive: Swarm) -> None:
    sniff = (
        "import socket\ntry: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)\nexcept OSError as e: print(e.errno)"
    )
    # The attack works where nothing is in its way, or this shows nothing.
    assert await hive.python(sniff) == ""
    assert await hive.python(sniff, in_container="alice") == "1"


async def test_root_inside_cannot_write_the_kernels_settings(hive: Swarm) -> None:
    before = await hive.host.run("cat", "/proc/sys/kernel/core_pattern")
    remount = "mount -o remount,bind,rw /proc/sys; mount -o remount,rw /proc/sys"
    attack = f"{remount}; echo '|/state/x' >/proc/sys/kernel/core_pattern"
    said = await hive.host.inside("alice", "sh", "-c", attack, ok=False)
    assert "Permission denied" in said or "Read-only" in said
    assert await hive.host.run("cat", "/proc/sys/kernel/core_pattern") == before


async def test_the_nix_daemon_does_not_take_root_inside_for_root(hive: Swarm) -> None:
    server = """
import os, socket, struct
place = "/nix/var/nix/daemon-socket/socket"
s = socket.socket(socket.AF_UNIX); s.bind(place + ".new"); os.chmod(place + ".new", 0o666); s.listen()
os.rename(place + ".new", place)
while True:
    c, _ = s.accept()
    c.send(str(struct.unpack("3i", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]).encode()); c.close()
"""
    place = hive.host.path("/etc/nix-daemon.py")
    place.write_text(server)
    await hive.host.run("systemd-run", "--quiet", "--unit=nix-daemon", *hive.interpreter, "/etc/nix-daemon.py")
    ask = (
        "import socket; s = socket.socket(socket.AF_UNIX); "
        "s.connect('/nix/var/nix/daemon-socket/socket'); print(s.recv(99).decode())"
    )
    await hive.eventually(lambda: hive.host.run("find", "/nix/var/nix/daemon-socket", "-name", "socket"))
    assert await hive.python(ask) == "0"
    seen = int(await hive.python(ask, in_container="alice"))
    outer = int((await hive.host.inside("alice", "cat", "/proc/1/uid_map")).split()[1])
    assert seen == outer >= 65536
    await hive.host.run("systemctl", "stop", "nix-daemon")
    await hive.host.run("rm", "/nix/var/nix/daemon-socket/socket")


async def test_capabilities_are_cut(hive: Swarm) -> None:
    status = await hive.host.inside("alice", "sh", "-c", "grep CapBnd /proc/1/status")
    bounding = int(status.split()[1], 16)
    for number, name in ((13, "NET_RAW"), (19, "SYS_PTRACE"), (27, "MKNOD"), (12, "NET_ADMIN")):
        assert not bounding & 1 << number, name


# Walls between agents, and between agents and the operator.


async def test_nothing_of_alice_is_visible_to_bob(hive: Swarm) -> None:
    await hive.ready()
    (hive.host.path("/var/lib/hyperhive/agents/alice/state") / "alice-notes.md").write_text("private")
    paths = (
        "find / -xdev -path /proc -prune -o -name '*alice*' -print; find /state /root /run /shared -name '*alice*' || :"
    )
    found = (await hive.host.inside("bob", "sh", "-c", paths)).splitlines()
    assert [line for line in found if not line.startswith("find:")] == []
    assert "alice" not in await hive.host.inside(
        "bob", "sh", "-c", "cat /proc/mounts | grep -v /nix/store; ls /run/hive"
    )
    processes = await hive.host.inside(
        "bob", "sh", "-c", "cat /proc/[0-9]*/comm | sort | uniq -c | grep nspawn; hostname"
    )
    assert processes == "h-bob"
    who = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/hive/hive.sock'); "
        "s.send(b'GET /v1/self HTTP/1.1\\r\\nHost: hive\\r\\nConnection: close\\r\\n\\r\\n'); "
        "print(s.makefile().read().splitlines()[-1])"
    )
    assert json.loads(await hive.python(who, in_container="bob"))["name"] == "bob"


async def test_whoever_is_not_the_containers_root_is_refused_on_its_socket(hive: Swarm) -> None:
    who = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/hyperhive/agents/bob/hive.sock'); "
        "s.send(b'GET /v1/self HTTP/1.1\\r\\nHost: hive\\r\\nConnection: close\\r\\n\\r\\n'); "
        "print(s.makefile().read().splitlines()[-1])"
    )
    assert json.loads(await hive.python(who))["error"]["code"] == "peer_refused"


async def test_files_that_root_inside_makes_are_roots_on_the_host(hive: Swarm) -> None:
    await hive.host.inside("alice", "sh", "-c", "touch /state/made /shared/made")
    for place in ("/var/lib/hyperhive/agents/alice/state/made", "/var/lib/hyperhive/shared/made"):
        assert hive.host.path(place).stat().st_uid == 0
    assert await hive.host.inside("bob", "stat", "-c", "%u", "/shared/made") == "0"
    said = await hive.host.inside("alice", "sh", "-c", "touch /run/hive/x", ok=False)
    assert "Read-only file system" in said


async def test_the_network_is_the_hosts(hive: Swarm) -> None:
    inside = await hive.host.inside("alice", "readlink", "/proc/self/ns/net")
    assert inside == await hive.host.run("readlink", "/proc/self/ns/net")


# What this kernel and this systemd may be unable to enforce; each is said by its name then.


def bind(port: int) -> str:
    tried = f"socket.socket().bind(('127.0.0.1', {port})); print('bound')"
    return f"import socket\ntry: {tried}\nexcept OSError as e: print(e.errno)"


async def test_ports_of_the_hive_cannot_be_bound(hive: Swarm) -> None:
    run = ("systemd-run", "--quiet", "--wait", "--pipe", "--property=SocketBindDeny=tcp:4999")
    if await hive.host.run(*run, *hive.interpreter, "-c", bind(4999)) == "bound":
        pytest.skip("not enforced by this systemd and kernel: SocketBindDeny")

    async def closed(port: int) -> bool:
        return await hive.python(bind(port), in_container="alice") == "1"

    # systemd forgets what runs may not bind when it reads its units; the daemon's watch sees to it.
    for port in (8000, 8100, 8999):
        await hive.eventually(lambda port=port: closed(port))
    assert await hive.python(bind(9000), in_container="alice") == "bound"
    await hive.host.run("systemctl", "daemon-reload")
    await hive.eventually(lambda: closed(8000))


async def test_the_clouds_address_is_not_reached(hive: Swarm) -> None:
    reach = (
        "import socket; s = socket.socket(); s.settimeout(1)\n"
        "try: s.connect(('169.254.169.254', 80)); print('reached')\nexcept OSError as e: print(type(e).__name__)"
    )
    await hive.host.run("ip", "address", "add", "169.254.169.254/32", "dev", "lo")
    server = "import socket; s = socket.create_server(('169.254.169.254', 80)); __import__('signal').pause()"
    await hive.host.run("systemd-run", "--quiet", "--unit=cloud", *hive.interpreter, "-c", server)
    await hive.eventually(lambda: hive.host.run("ss", "-Hltn", "sport = :80"))
    assert await hive.python(reach) == "reached"
    run = ("systemd-run", "--quiet", "--wait", "--pipe", "--property=IPAddressDeny=169.254.169.254")
    if await hive.host.run(*run, *hive.interpreter, "-c", reach) == "reached":
        pytest.skip("not enforced by this systemd and kernel: IPAddressDeny")
    assert await hive.python(reach, in_container="alice") == "TimeoutError"


async def test_the_unit_has_the_limits_of_the_settings(hive: Swarm) -> None:
    shown = await hive.host.run(
        "systemctl", "show", "container@h-alice", "--property=MemoryMax,CPUQuotaPerSecUSec,TasksMax"
    )
    # What they do is in test_container_limits.py, on a machine that enforces them.
    assert sorted(shown.splitlines()) == ["CPUQuotaPerSecUSec=2s", f"MemoryMax={4 * 1024**3}", "TasksMax=512"]
