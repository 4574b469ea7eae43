"""What is seen on this host before a hive is started."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hyperhive.cli import main
from hyperhive.cli.foreground import changed
from hyperhive.config_file import load_settings, parse_settings
from hyperhive.preflight import look, unapplied

if TYPE_CHECKING:
    from hyperhive.config import HiveSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HYPERHIVE_")]:
        monkeypatch.delenv(name)


def _settings(**raw: Any) -> HiveSettings:  # noqa: ANN401 - JSON
    return parse_settings(json.dumps({"dashboard": {"port": 1}, **raw}))


def _found(settings: HiveSettings, *, ports: bool = False) -> list[tuple[str, str]]:
    return [(finding.level, finding.path) for finding in look(settings, ports=ports)]


def test_an_ordinary_hive_is_fine(tmp_path: Path) -> None:
    assert _found(_settings(stateDir=str(tmp_path / "new" / "state"), agents={"alice": {}})) == []


def test_credentials_must_be_there_and_should_be_private(tmp_path: Path) -> None:
    secret, empty = tmp_path / "secret", tmp_path / "empty"
    secret.write_text("x")
    secret.chmod(0o644)
    empty.touch(0o600)
    settings = _settings(
        defaults={"credentials": {"KEY": str(secret), "EMPTY": str(empty)}},
        agents={"alice": {"credentials": {"TOKEN": str(tmp_path / "missing"), "DIR": str(tmp_path)}}},
    )
    assert _found(settings) == [
        ("warning", "defaults.credentials.KEY"),
        ("error", "defaults.credentials.EMPTY"),
        ("error", "agents.alice.credentials.TOKEN"),
        ("error", "agents.alice.credentials.DIR"),
    ]


def test_a_short_operator_token_is_found_without_being_printed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("tiny-secret\n")
    findings = look(_settings(dashboard={"port": 1, "operatorTokenFile": str(token)}), ports=False)
    assert [finding.path for finding in findings] == ["dashboard.operatorTokenFile"]
    assert "11 characters" in findings[0].text
    assert "tiny-secret" not in findings[0].text


def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert _found(_settings(stateDir=str(tmp_path / "file"))) == [("error", "stateDir")]


def test_a_chosen_runtime_directory_must_be_short_enough_for_sockets(tmp_path: Path) -> None:
    assert _found(_settings(runtimeDir="/run/" + "x" * 80)) == [("error", "runtimeDir")]
    assert _found(_settings(runtimeDir="/run/hyperhive", stateDir=str(tmp_path / ("x" * 120)))) == []


def test_a_taken_port_is_found(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = _settings(dashboard={"port": port}, stateDir=str(tmp_path))
        assert _found(settings, ports=True) == [("error", "dashboard.port")]


def test_a_missing_claude_is_found_where_there_are_agents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert _found(_settings(agents={"alice": {}}, manager={"enable": False})) == [("error", "agents")]
    assert _found(_settings()) == [("error", "agents")], "there is a manager"
    assert _found(_settings(manager={"enable": False})) == []


def _with_everything(runtime: str) -> HiveSettings:
    return _settings(
        runtime=runtime,
        notifications={"command": ["true"]},
        approvals={"ttl": "1d"},
        systems={"default": "/nix/store/x"},
        builder={"nixpkgs": "/nix/store/x", "hyperhive": "/nix/store/y"},
        database={"url": "postgresql://x"},
        manager={"enable": False, "prompt": "x"},
        defaults={"limits": {"memoryMax": "1G", "cpuQuota": "200%", "tasksMax": 512}},
        agents={
            "alice": {
                "system": "/nix/store/x",
                "configFile": "/etc/x.nix",
                "schedules": {"x": {"every": "1h", "message": "x"}},
                "extraNspawnFlags": ["--quiet"],
                "bindMounts": {"/data": {}},
                "limits": {"tasksMax": 10},
            },
            "bob": {},
        },
    )


_OF_NO_RUNTIME = [
    "database.url",
]
_OF_CONTAINERS = [
    "systems.default",
    "defaults.limits.memoryMax",
    "agents.alice.system",
    "agents.alice.configFile",
    "agents.alice.extraNspawnFlags",
    "agents.alice.bindMounts",
    "agents.alice.limits.tasksMax",
]


@pytest.mark.parametrize("runtime", ["auto", "bubblewrap", "process"])
def test_settings_without_effect_are_named_each(runtime: str) -> None:
    found = {finding.path: finding.text for finding in unapplied(_with_everything(runtime))}
    assert list(found) == [*_OF_NO_RUNTIME, *_OF_CONTAINERS]
    assert {found[path] for path in _OF_NO_RUNTIME} == {"this version does not act on it yet"}
    assert {found[path] for path in _OF_CONTAINERS} == {"only the runtime nixos-container acts on it"}


def test_containers_act_on_what_is_theirs() -> None:
    assert [finding.path for finding in unapplied(_with_everything("nixos-container"))] == _OF_NO_RUNTIME


def test_defaults_have_no_warnings() -> None:
    assert unapplied(_settings(agents={"alice": {}})) == []


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_STATE_DIR", "from-the-environment")
    settings = changed(parse_settings("{}"), Path("given"), 7123)
    assert (settings.state_dir, settings.dashboard.port) == (Path("given"), 7123)
    assert changed(parse_settings("{}"), None, None).state_dir == Path("from-the-environment")


def test_the_example_is_right() -> None:
    settings = load_settings(ROOT / "examples" / "hive.json")
    assert sorted(settings.agents) == ["alice", "bob"]
    assert unapplied(settings) == []


def test_check_config_prints_each_mistake_with_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hive.json"
    file.write_text('{"runtme": "auto", "agents": {"Bad": {}}}')
    assert main(["check-config", str(file)]) == 2
    errors = capsys.readouterr().err
    assert "runtme: unknown key" in errors
    assert "agents.Bad" in errors


def test_check_config_looks_at_this_host_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hive.json"
    file.write_text(
        json.dumps({"defaults": {"credentials": {"KEY": "/nowhere/key"}}, "database": {"url": "postgresql://x"}})
    )
    assert main(["check-config", str(file)]) == 0
    shown = capsys.readouterr()
    assert "database.url: this version does not act on it yet" in shown.err
    assert main(["check-config", str(file), "--on-this-host"]) == 2
    assert "defaults.credentials.KEY: /nowhere/key" in capsys.readouterr().err
    assert main(["check-config", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_a_recipient_that_is_not_declared_is_a_warning_with_what_may_be_meant() -> None:
    settings = _settings(agents={"alice": {"allowedRecipients": ["bop", "bob", "operator", "*"]}, "bob": {}})
    (found,) = [finding for finding in look(settings, ports=False) if finding.level == "warning"]
    assert found.path == "agents.alice.allowedRecipients"
    assert "no agent 'bop' is declared" in found.text
    assert "did you mean 'bob'?" in found.text
