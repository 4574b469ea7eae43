"""Settings: the whole example file, every wrong key named by its path, and who wins."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic.alias_generators import to_camel

from hyperhive.config import HiveSettings
from hyperhive.config_file import load_settings, parse_settings
from hyperhive.errors import HiveError

if TYPE_CHECKING:
    from pydantic import BaseModel

#: What the NixOS module renders, every key of the first release.
WHOLE: dict[str, Any] = {
    "version": 1,
    "stateDir": "/var/lib/hyperhive",
    "runtimeDir": "/run/hyperhive",
    "runtime": "nixos-container",
    "timeZone": "Europe/Berlin",
    "database": {"url": None},
    "dashboard": {"port": 7000, "allowedHosts": [], "operatorTokenFile": None, "agentPages": None},
    "operator": {"name": "operator", "pronouns": None},
    "notifications": {"urlFile": None, "command": None},
    "manager": {"enable": True, "model": None, "prompt": None},
    "approvals": {"ttl": "14d"},
    "systems": {"default": "/nix/store/x-system"},
    "builder": {"hyperhive": "/nix/store/x-hyperhive", "nixpkgs": "/nix/store/x-nixpkgs"},
    "defaults": {
        "model": "haiku",
        "tools": [],
        "environment": {},
        "credentials": {},
        "keepWarmSeconds": 120,
        "maxTurnMinutes": 60,
        "limits": {"memoryMax": "4G", "cpuQuota": "200%", "tasksMax": 512},
    },
    "agents": {
        "alice": {
            "model": "sonnet",
            "prompt": "You look after the build.",
            "system": None,
            "configFile": None,
            "mutable": True,
            "mcpServers": {},
            "tools": [],
            "allowedRecipients": None,
            "environment": {},
            "credentials": {},
            "maxTurnMinutes": None,
            "limits": {},
            "schedules": {},
            "autoStart": True,
        }
    },
}


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HYPERHIVE_")]:
        monkeypatch.delenv(name)


def _problems(text: str) -> list[str]:
    with pytest.raises(HiveError) as caught:
        parse_settings(text)
    assert caught.value.code == "bad_config"
    problems: list[str] = caught.value.data["problems"]
    assert problems
    assert all(problem in str(caught.value) for problem in problems)
    return problems


def _problem(raw: object) -> str:
    problems = _problems(json.dumps(raw))
    assert len(problems) == 1, problems
    return problems[0]


def test_the_whole_example_is_accepted() -> None:
    settings = parse_settings(json.dumps(WHOLE))
    assert settings.state_dir == Path("/var/lib/hyperhive")
    assert settings.agents["alice"].auto_start
    assert settings.defaults.keep_warm_seconds == 120
    assert settings.model_of("alice") == "sonnet"
    assert settings.model_of("bob") == "haiku"


def test_nothing_at_all_is_accepted() -> None:
    assert parse_settings("{}") == HiveSettings()


def test_declared_defaults_are_the_examples() -> None:
    given, default = parse_settings(json.dumps(WHOLE)), HiveSettings()
    for part in ("database", "dashboard", "operator", "notifications", "manager", "approvals", "defaults"):
        assert getattr(given, part) == getattr(default, part), part


def _places(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every object of the example that is one of our models."""
    if not isinstance(value, dict):
        return []
    free = path[-1:] in [("environment",), ("credentials",), ("mcpServers",), ("schedules",), ("agents",)]
    inner = [place for key, part in value.items() for place in _places(part, (*path, key))]
    return inner if free else [path, *inner]


@pytest.mark.parametrize("place", _places(WHOLE), ids=".".join)
def test_an_unknown_key_is_named_by_its_path(place: tuple[str, ...]) -> None:
    raw = json.loads(json.dumps(WHOLE))
    inner = raw
    for key in place:
        inner = inner[key]
    inner["nonsense"] = 1
    assert _problem(raw).startswith(".".join((*place, "nonsense")) + ": unknown key")


def _fields(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name != to_camel(name)]


def test_snake_case_is_no_key_and_camel_case_is_meant() -> None:
    assert "state_dir" in _fields(HiveSettings)
    for name in _fields(HiveSettings):
        value = "UTC" if name == "time_zone" else "x"
        assert _problem({name: value}) == f"{name}: unknown key; did you mean '{to_camel(name)}'?"
    assert _problem({"agents": {"alice": {"autostart": True}}}) == (
        "agents.alice.autostart: unknown key; did you mean 'autoStart'?"
    )


@pytest.mark.parametrize(
    ("raw", "start"),
    [
        ({"version": 2}, "version: "),
        ({"stateDir": 5}, "stateDir: "),
        ({"runtime": "docker"}, "runtime: "),
        ({"dashboard": {"port": 65536}}, "dashboard.port: "),
        ({"dashboard": {"operatorTokenFile": "token"}}, "dashboard.operatorTokenFile: "),
        ({"dashboard": []}, "dashboard: "),
        ({"approvals": {"ttl": "two weeks"}}, "approvals.ttl: 'two weeks' is no span of time"),
        ({"approvals": {"ttl": "99999999999999w"}}, "approvals.ttl: "),
        ({"defaults": {"keepWarmSeconds": -1}}, "defaults.keepWarmSeconds: "),
        ({"defaults": {"keepWarmSeconds": float("nan")}}, "defaults.keepWarmSeconds: "),
        ({"defaults": {"limits": {"memoryMax": "lots"}}}, "defaults.limits.memoryMax: 'lots' is no size"),
        ({"defaults": {"limits": {"tasksMax": 1}}}, "defaults.limits.tasksMax: "),
        ({"defaults": {"environment": {"A B": "x"}}}, "defaults.environment.A B: "),
        ({"defaults": {"environment": {"A": 5}}}, "defaults.environment.A: "),
        ({"agents": {"alice": {"model": "a b"}}}, "agents.alice.model: 'a b' is no model name"),
        ({"agents": {"alice": {"mcpServers": {"git": {"args": "x"}}}}}, "agents.alice.mcpServers.git.args: "),
        ({"agents": {"alice": {"mcpServers": {"git": {}}}}}, "agents.alice.mcpServers.git: set either 'command'"),
        (
            {"agents": {"alice": {"mcpServers": {"git": {"command": "x", "url": "http://x/mcp"}}}}},
            "agents.alice.mcpServers.git: set either 'command'",
        ),
        (
            {"agents": {"alice": {"mcpServers": {"git": {"url": "http://x/mcp", "env": {"A": "b"}}}}}},
            "agents.alice.mcpServers.git: 'args' and 'env' are a program's",
        ),
        (
            {"agents": {"alice": {"mcpServers": {"git": {"command": "x", "headers": {"A": "b"}}}}}},
            "agents.alice.mcpServers.git: 'headers' are sent to a 'url'",
        ),
        ({"agents": {"alice": {"mcpServers": {"git": {"url": "file:///x"}}}}}, "agents.alice.mcpServers.git.url: "),
        (
            {"agents": {"alice": {"mcpServers": {"hyperhive": {"command": "x"}}}}},
            "agents.alice.mcpServers.hyperhive: 'hyperhive' is the hive's own MCP server",
        ),
        (
            {"agents": {"alice": {"mcpServers": {"a__b": {"command": "x"}}}}},
            "agents.alice.mcpServers.a__b: 'a__b' is no",
        ),
        (
            {"agents": {"alice": {"mcpServers": {"git": {"command": "x", "allowedTools": ["a b"]}}}}},
            "agents.alice.mcpServers.git.allowedTools.0: 'a b' is no tool",
        ),
        ({"defaults": {"maxTurnMinutes": 0}}, "defaults.maxTurnMinutes: "),
        ({"agents": {"alice": {"maxTurnMinutes": float("inf")}}}, "agents.alice.maxTurnMinutes: "),
        ({"agents": {"alice": {"schedules": {"daily": {}}}}}, "agents.alice.schedules.daily.message: "),
        ({"manager": {"schedules": {"daily": {}}}}, "manager.schedules.daily.message: "),
        ({"agents": {"alice": {"credentials": {"KEY": "here"}}}}, "agents.alice.credentials.KEY: "),
        ({"agents": {"Alice": {}}}, "agents.Alice: 'Alice' cannot be an agent's name"),
        ({"agents": {"..": {}}}, "agents...: '..' cannot be an agent's name"),
        ({"agents": {"operator": {}}}, "agents.operator: 'operator' is reserved"),
        ({"agents": {"manager": {}}}, "agents: 'manager' is made by the hive itself"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(raw: dict[str, Any], start: str) -> None:
    assert _problem(raw).startswith(start)


def test_every_mistake_is_named_at_once() -> None:
    problems = _problems(json.dumps({"dashbord": {}, "runtime": "x", "agents": {"a_b": {}, "bob": {"tolls": []}}}))
    assert [problem.split(": ")[0] for problem in sorted(problems)] == [
        "agents.a_b",
        "agents.bob.tolls",
        "dashbord",
        "runtime",
    ]


def test_keys_of_free_form_maps_stay_as_they_are() -> None:
    environment = {"ANTHROPIC_BASE_URL": "http://localhost", "camelCase": "1", "snake_case": "2"}
    settings = parse_settings(json.dumps({"agents": {"alice": {"environment": environment}}}))
    assert settings.agents["alice"].environment == environment


def test_agents_that_collide_are_refused_with_both_names() -> None:
    problem = _problem({"agents": {"builder": {}, "lint": {}, "alice": {}}})
    assert "'builder' and 'lint' get the same web port 8900" in problem


@pytest.mark.parametrize("name", ["Bob", "..", "system", "ten-letter", ""])
def test_a_recipient_could_be_an_agent(name: str) -> None:
    problem = _problem({"agents": {"alice": {"allowedRecipients": [name]}, "bob": {}}})
    assert problem.startswith("agents.alice.allowedRecipients: ")


@pytest.mark.parametrize("names", [["coder"], ["*", "operator", "manager", "alice"]])
def test_a_recipient_may_be_made_at_run_time(names: list[str]) -> None:
    settings = parse_settings(json.dumps({"agents": {"alice": {"allowedRecipients": names}}}))
    assert settings.agents["alice"].allowed_recipients == names


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "line 1, column 1"),
        ('{"version": 1,}', "no valid JSON"),
        ("[]", "must be an object"),
        ('{"version": 1, "version": 1}', "stands twice"),
        ('{"agents": {"alice": {}, "alice": {}}}', "'alice' stands twice"),
        ('{"dashboard": {"port": NaN}}', "dashboard.port"),
        ("[" * 100_000, "(the whole file)"),
    ],
)
def test_what_is_no_settings_file_is_said_so(text: str, word: str) -> None:
    with pytest.raises(HiveError) as caught:
        parse_settings(text)
    assert caught.value.code == "bad_config"
    assert word in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.json", tmp_path, binary):
        with pytest.raises(HiveError) as caught:
            load_settings(path)
        assert caught.value.code == "bad_config"
        assert str(path) in str(caught.value)
    (tmp_path / "good.json").write_text('{"runtime": "process"}')
    assert load_settings(tmp_path / "good.json").runtime == "process"


def test_variables_of_ours_win_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_RUNTIME", "process")
    monkeypatch.setenv("HYPERHIVE_DASHBOARD__PORT", "7100")
    monkeypatch.setenv("HYPERHIVE_SOCKET", "/run/elsewhere.sock")
    raw = {"runtime": "bubblewrap", "dashboard": {"port": 7000, "allowedHosts": ["hive.example"]}}
    settings = parse_settings(json.dumps(raw))
    assert settings.runtime == "process"
    assert settings.dashboard.port == 7100
    assert settings.dashboard.allowed_hosts == ["hive.example"]


def test_variables_of_others_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in HiveSettings.model_fields:
        monkeypatch.setenv(name.upper(), "2")
        monkeypatch.setenv(name, "2")
    assert parse_settings("{}") == HiveSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("HYPERHIVE_RUNTIME", "docker"), ("HYPERHIVE_DASHBOARD__PORT", "many"), ("HYPERHIVE_AGENTS", "no json")],
)
def test_a_wrong_variable_is_a_mistake_of_the_settings(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert _problems("{}")


def test_secrets_are_never_in_the_settings() -> None:
    """A credential is a path; a value would stand in the store, in `ps` and in the log."""
    problem = _problem({"defaults": {"credentials": {"ANTHROPIC_API_KEY": "sk-made-up"}}})
    assert "must be an absolute path" in problem
