"""The files that describe a container: exact text, and what cannot stand in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hyperhive.config_file import parse_settings
from hyperhive.errors import HiveError
from hyperhive.runtime.base import AgentPlan, Repositories
from hyperhive.runtime.container import Bind, Container, ContainerLimits, container_of
from hyperhive.runtime.container_conf import conf_text, drop_in_text, nspawn_flags
from hyperhive.runtime.units import Unit, agent_of, parse_units

if TYPE_CHECKING:
    from collections.abc import Callable

SYSTEM = Path("/nix/store/abc-nixos-system")
PLAN = AgentPlan(
    name="alice",
    claude=Path("/var/lib/hyperhive/agents/alice/claude"),
    state=Path("/var/lib/hyperhive/agents/alice/state"),
    shared=Path("/var/lib/hyperhive/shared"),
    socket_dir=Path("/run/hyperhive/agents/alice"),
    log=Path("/var/lib/hyperhive/logs/alice.log"),
    credentials={"ANTHROPIC_API_KEY": Path("/run/keys/anthropic"), "A_TOKEN": Path("/run/keys/a:b")},
    container=Container(SYSTEM),
)


def test_the_conf_is_exactly_this() -> None:
    assert (
        conf_text(PLAN)
        == """\
PRIVATE_NETWORK=0
HOST_ADDRESS=
LOCAL_ADDRESS=
HOST_ADDRESS6=
LOCAL_ADDRESS6=
HOST_BRIDGE=
HOST_PORT=
AUTO_START=0
SYSTEM_PATH=/nix/store/abc-nixos-system
PRIVATE_USERS=pick
EXTRA_NSPAWN_FLAGS="--bind-ro=/run/hyperhive/agents/alice:/run/hive:idmap \
--bind=/var/lib/hyperhive/agents/alice/claude:/root/.claude:idmap \
--bind=/var/lib/hyperhive/agents/alice/state:/state:idmap \
--bind=/var/lib/hyperhive/shared:/shared:idmap \
--load-credential=ANTHROPIC_API_KEY:/run/keys/anthropic --load-credential=A_TOKEN:/run/keys/a:b \
--drop-capability=CAP_MKNOD,CAP_NET_RAW,CAP_SYS_PTRACE --setenv=SYSTEMD_DEFAULT_MOUNT_RATE_LIMIT_BURST=200"
"""
    )


def test_the_manager_has_the_repositories_in_one_bind_each() -> None:
    state = Path("/var/lib/hyperhive")
    plan = replace(PLAN, name="manager", repositories=Repositories(state / "proposed", state / "applied"))
    more = [flag for flag in nspawn_flags(plan) if flag not in nspawn_flags(PLAN)]
    assert more == [
        "--bind=/var/lib/hyperhive/proposed:/agents:idmap",
        "--bind-ro=/var/lib/hyperhive/applied:/applied:idmap",
    ]


def test_the_drop_in_is_exactly_this() -> None:
    container = Container(
        SYSTEM, ContainerLimits("4G", "200%", 512), closed_ports=("7001", "8000", "8100-8999", "7001")
    )
    assert (
        drop_in_text(replace(PLAN, container=container))
        == """\
# Written by hyperhive at every deploy.
[Service]
MemoryMax=4G
CPUQuota=200%
TasksMax=512
SocketBindDeny=tcp:7001
SocketBindDeny=tcp:8000
SocketBindDeny=tcp:8100-8999
IPAddressDeny=169.254.169.254
IPAddressDeny=169.254.170.2
IPAddressDeny=100.100.100.200
IPAddressDeny=fd00:ec2::254
IPAddressDeny=fd20:ce::254
"""
    )


def test_every_bind_is_mapped() -> None:
    binds = (Bind(Path("/srv/src"), "/src"), Bind(Path("/srv/out"), "/out", read_only=False))
    flags = nspawn_flags(replace(PLAN, container=Container(SYSTEM, binds=binds, extra_flags=("--setenv=A=b",))))
    assert "--bind-ro=/srv/src:/src:idmap" in flags
    assert "--bind=/srv/out:/out:idmap" in flags
    assert flags[-1] == "--setenv=A=b"
    assert all(flag.endswith(":idmap") for flag in flags if flag.startswith("--bind"))


@pytest.mark.parametrize("letter", list(" \t\n*?[]\\\"'$`"))
@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("stateDir", lambda bad: {"state": Path(f"/var/a{bad}b")}),
        ("runtimeDir", lambda bad: {"socket_dir": Path(f"/run/a{bad}b")}),
        ("agents.alice.credentials.T", lambda bad: {"credentials": {"T": Path(f"/k/a{bad}b")}}),
        (
            'agents.alice.bindMounts."/p"',
            lambda bad: {"container": Container(SYSTEM, binds=(Bind(Path(f"/a{bad}"), "/p"),))},
        ),
        ("agents.alice.extraNspawnFlags", lambda bad: {"container": Container(SYSTEM, extra_flags=(f"--a{bad}b",))}),
        ("systems", lambda bad: {"container": Container(Path(f"/nix/a{bad}b"))}),
    ],
)
def test_a_word_that_the_shell_would_change_is_refused_with_its_setting(
    where: str, change: Callable[[str], dict[str, Any]], letter: str
) -> None:
    with pytest.raises(HiveError) as refusal:
        conf_text(replace(PLAN, **change(letter)))
    assert refusal.value.code == "bad_config"
    assert refusal.value.message.startswith(where)


def test_a_colon_would_end_a_path() -> None:
    with pytest.raises(HiveError, match="has a ':'"):
        conf_text(replace(PLAN, shared=Path("/a:b")))


def test_settings_become_a_container() -> None:
    settings = parse_settings(
        """{"systems": {"default": "/nix/store/d"}, "dashboard": {"port": 7100},
            "defaults": {"limits": {"memoryMax": "1G"}},
            "agents": {"bob": {}, "alice": {"system": "/nix/store/a", "limits": {"cpuQuota": "50%"},
              "extraNspawnFlags": ["--setenv=A=b"],
              "bindMounts": {"/src": {}, "/out": {"hostPath": "/srv/out", "isReadOnly": false}}}}}"""
    )
    alice = container_of(settings, "alice")
    assert alice.system == Path("/nix/store/a")
    assert alice.limits == ContainerLimits("1G", "50%", 512)
    assert alice.binds == (Bind(Path("/srv/out"), "/out", read_only=False), Bind(Path("/src"), "/src"))
    assert alice.extra_flags == ("--setenv=A=b",)
    assert alice.closed_ports == ("7100", "8000", "8100-8999")
    for name in ("bob", "spawned"):
        assert container_of(settings, name).system == Path("/nix/store/d")


def test_units_are_read_from_blocks() -> None:
    alice = "Id=container@h-alice.service\nActiveState=active\nNRestarts=2\nExecMainCode=2\nExecMainStatus=9\n"
    text = f"{alice}\nId=x.service\nActiveState=active\n"
    assert parse_units(text) == {"alice": Unit(load="", active="active", sub="", result="", restarts=2, code=-9)}
    assert parse_units("") == {}
    assert agent_of("container@web.service") is None
