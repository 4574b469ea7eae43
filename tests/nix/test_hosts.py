"""Whole hosts: the example's and two harder ones reach their `.drv`, their settings are right, their units too."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from nix_bed import HOSTS, ROOT

from hyperhive.config_file import parse_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nix_bed import Nix

Hosts = dict[str, dict[str, Any]]
EVERY_HOST = pytest.mark.parametrize("name", sorted(HOSTS))


@EVERY_HOST
def test_a_host_evaluates_without_a_warning(hosts: Hosts, name: str) -> None:
    assert hosts[name]["drvPath"].endswith(".drv")
    assert hosts[name]["warnings"] == []


@EVERY_HOST
def test_the_settings_are_what_the_daemon_reads(
    hosts: Hosts, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in [variable for variable in os.environ if variable.startswith("HYPERHIVE_")]:
        monkeypatch.delenv(variable)
    settings = parse_settings(json.dumps(hosts[name]["settings"]))
    assert settings.runtime == "nixos-container"
    assert str(settings.systems.default).startswith("/nix/store/")
    assert hosts[name]["inEtc"] == hosts[name]["settingsFile"]
    assert _build_settings(hosts[name], tmp_path, hosts[name]["settings"]).returncode == 0
    assert json.loads((tmp_path / "out.json").read_text()) == hosts[name]["settings"]


def test_a_typo_in_settings_fails_the_rebuild(hosts: Hosts, tmp_path: Path) -> None:
    settings = {**hosts["example"]["settings"], "dashbord": {}}
    done = _build_settings(hosts["example"], tmp_path, settings)
    assert done.returncode
    assert "dashbord: unknown key; did you mean 'dashboard'?" in done.stderr.replace("\n", " ")
    assert not (tmp_path / "out.json").exists()


def _build_settings(host: dict[str, Any], directory: Path, settings: object) -> subprocess.CompletedProcess[str]:
    """Run what the settings file's derivation runs, with our own hyperhive."""
    program, raw = directory / "bin/hyperhive", directory / "raw.json"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m hyperhive "$@"\n')
    program.chmod(0o755)
    raw.write_text(json.dumps(settings))
    command = re.sub(r"/nix/store/\S+-hyperhive-config\.json", str(raw), host["check"])
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "out": str(directory / "out.json")}
    environment["PYTHONPATH"] = str(ROOT / "python")
    shell = shutil.which("bash") or "/bin/sh"
    return subprocess.run([shell, "-euc", command], env=environment, capture_output=True, text=True, check=False)


def test_the_module_does_nothing_where_it_is_not_switched_on(nix: Nix) -> None:
    off = nix.evaluate("off")
    assert off["drvPath"].endswith(".drv")
    assert not off["service"]
    assert not off["containers"]


def test_everything_that_can_be_set_arrives(hosts: Hosts) -> None:
    settings = parse_settings(json.dumps(hosts["everything"]["settings"]))
    alice = settings.agents["alice"]
    assert settings.group == "wheel"
    assert settings.dashboard.port == 7100
    assert settings.defaults.keep_warm_seconds == 0.5
    assert settings.defaults.environment["camelCase_and_snake"] == "kept"
    assert settings.approvals.ttl == "7d"
    assert alice.prompt is not None
    assert alice.prompt.splitlines()[1] == '"Quotes", $variables and ${braces} stay as they are.'
    assert not alice.auto_start
    assert alice.limits.tasks_max == 1024
    assert str(alice.bind_mounts["/src"].host_path) == "/srv/src"
    assert not alice.bind_mounts["/src"].is_read_only
    assert alice.bind_mounts["/var/cache/models"].is_read_only
    assert alice.mcp_servers["tracker"].allowed_tools == ["list_issues"]
    assert alice.mcp_servers["remote"].headers == {"Authorization": "Bearer ${TRACKER_TOKEN}"}
    assert (settings.defaults.max_turn_minutes, alice.max_turn_minutes) == (0.5, 15)
    bob = settings.agents["bob"].schedules
    assert (bob["daily"].cron, bob["daily"].every, bob["often"].every) == ("0 8 * * *", None, "90m")
    assert bob["often"].message.strip() == "Still there?"
    assert settings.time_zone == "Europe/Berlin"
    assert not settings.agents["carol"].mutable


def test_agents_without_a_config_share_one_system_whatever_else_they_are(hosts: Hosts) -> None:
    example, many = (hosts[name]["settings"] for name in ("example", "many"))
    assert example["systems"]["default"] == many["systems"]["default"]
    assert [agent["system"] for name, agent in many["agents"].items() if "agent-" in name] == [None] * 30


def test_an_agent_with_a_config_has_its_own_system(hosts: Hosts) -> None:
    settings = hosts["many"]["settings"]
    systems = {name: agent["system"] for name, agent in settings["agents"].items() if agent["system"]}
    assert set(systems) == {"alice", "bob"}
    assert len({*systems.values(), settings["systems"]["default"]}) == 3
    assert "dave" not in settings["agents"]
    assert hosts["everything"]["settings"]["agents"]["alice"]["system"], "of a config and a configFile"


def test_a_patched_package_is_what_the_containers_run(hosts: Hosts) -> None:
    everything = hosts["everything"]
    for unit in (everything["units"]["hyperhive.service"], everything["harness"], everything["harnesses"]["alice"]):
        assert re.search(r"^ExecStart=/nix/store/\S+-hyperhive-patched-\S+/bin/hyperhive ", unit, re.MULTILINE)


def test_only_what_a_running_daemon_cannot_change_restarts_it(hosts: Hosts) -> None:
    example, many, everything = (hosts[name]["triggers"] for name in ("example", "many", "everything"))
    assert example["reload"] != many["reload"]
    assert example["restart"] == many["restart"] != everything["restart"]
    expected = {"agentPages", "database", "port", "runtime", "runtimeDir", "stateDir"}
    assert set(json.loads(example["restart"][0])) == expected
    units = [
        re.sub(r"(?m)^X-Reload.*\n", "", hosts[name]["units"]["hyperhive.service"]) for name in ("example", "many")
    ]
    assert units[0] == units[1]


def _lines(unit: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


def _path(unit: str) -> list[str]:
    (path,) = [text for text in _lines(unit, "Environment") if text.startswith('"PATH=')]
    return path.strip('"').removeprefix("PATH=").split(":")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("RuntimeDirectory", "hyperhive"),
        ("RuntimeDirectoryMode", "0750"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("StateDirectory", "hyperhive"),
        ("StateDirectoryMode", "0700"),
        ("Group", "hyperhive"),
        ("FileDescriptorStoreMax", "4096"),
        ("FileDescriptorStorePreserve", "yes"),
        ("X-StopIfChanged", "false"),
        ("NoNewPrivileges", "true"),
        ("ProtectSystem", "strict"),
    ],
)
def test_the_daemon_unit_says(hosts: Hosts, key: str, value: str) -> None:
    assert _lines(hosts["example"]["units"]["hyperhive.service"], key) == [value]


def test_the_daemon_finds_its_programs(hosts: Hosts) -> None:
    unit = hosts["example"]["units"]["hyperhive.service"]
    path = _path(unit)
    for name in ("git-minimal", "nixos-container", "nix-2", "util-linux", "e2fsprogs", "coreutils", "systemd"):
        assert any(f"-{name}" in place for place in path), name
    assert path[-1] == "/run/current-system/sw/sbin"
    assert any(re.fullmatch(r'"HYPERHIVE_GIT=/nix/store/\S+/bin/git"', text) for text in _lines(unit, "Environment"))
    assert int(_lines(unit, "WatchdogSec")[0]) > 0
    assert _lines(unit, "ExecReload")[0].endswith("kill -HUP $MAINPID")


def test_the_harness_unit_is_for_any_agent(hosts: Hosts) -> None:
    unit = hosts["many"]["harness"]
    assert hosts["example"]["harness"] == unit
    environment = {
        text.strip('"').partition("=")[0]: text.strip('"').partition("=")[2] for text in _lines(unit, "Environment")
    }
    assert environment["HIVE_SOCKET"] == "/run/hive/hive.sock"
    assert environment["HIVE_STATE"] == "/state"
    assert environment["HIVE_SHARED"] == "/shared"
    assert environment["CLAUDE_CONFIG_DIR"] == "/root/.claude"
    assert _lines(unit, "X-RestartIfChanged") == ["false"]
    assert _lines(unit, "ImportCredential") == ["*"]
    binaries = [place for place in _path(unit) if place.endswith("/bin")]
    assert "-claude-code-" in binaries[0]
    assert binaries[-1] == "/run/current-system/sw/bin"
    for name in ("alice", "bob", "agent-10"):
        assert name not in unit


@pytest.fixture(scope="session")
def verify(require_tier: Callable[[str, object, str], None]) -> list[str]:
    """A `systemd-analyze` that knows the directives we use."""
    for program in ("systemd-analyze-257", "systemd-analyze"):
        if not shutil.which(program):
            continue
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        found = re.match(r"systemd (\d+)", version)
        if found and int(found[1]) >= 256:
            return [program, "verify", "--man=no"]
    require_tier("systemd-analyze", None, "there is no systemd-analyze of 256 or newer")
    raise AssertionError


def _complaints(verify: list[str], directory: Path, name: str, unit: str) -> str:
    """What systemd says about a unit; programs that are not built here are replaced."""
    for target in ("sysinit", "basic", "shutdown", "multi-user"):
        (directory / f"{target}.target").write_text("[Unit]\n")
    (directory / name).write_text(re.sub(r"(?m)^(Exec[A-Za-z]*)=.*$", r"\1=/bin/true", unit))
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": str(directory)}
    words = [*verify, str(directory / name)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["example", "everything"])
def test_systemd_understands_every_line(hosts: Hosts, name: str, verify: list[str], tmp_path: Path) -> None:
    units = {**hosts[name]["units"], "hyperhive-harness.service": hosts[name]["harness"]}
    for unit, text in units.items():
        assert _complaints(verify, tmp_path, unit, text) == "", unit


def test_systemd_would_have_said_so(hosts: Hosts, verify: list[str], tmp_path: Path) -> None:
    unit = hosts["example"]["units"]["hyperhive.service"]
    wrong = unit.replace("WatchdogSec=", "WatchdogSecs=").replace("@mount", "@muont")
    said = _complaints(verify, tmp_path, "hyperhive.service", wrong)
    assert "WatchdogSecs" in said
    assert "@muont" in said


def test_every_directory_that_must_be_writable_is_made(hosts: Hosts) -> None:
    """One that is not there when the daemon's view of the file system is made stays read-only, or fails the start."""
    writable = _lines(hosts["everything"]["units"]["hyperhive.service"], "ReadWritePaths")
    made = {"/run/lock", "/run/systemd/system", "/nix/var/nix/gcroots"} | set(hosts["everything"]["made"])
    assert set(writable) <= made
