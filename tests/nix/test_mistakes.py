"""What is wrong in a configuration is said at evaluation, with the option's path, the value and what to do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from nix_bed import at_once

if TYPE_CHECKING:
    from nix_bed import Nix


@pytest.fixture(scope="module")
def bad(nix: Nix) -> dict[str, Any]:
    cases: dict[str, Any] = nix.evaluate("bad")
    return cases


def test_every_assertion_fires_on_its_bad_example(bad: dict[str, Any]) -> None:
    for name, case in bad.items():
        assert len(case["messages"]) == 1, f"{name}: {case['messages']}"
        (message,) = case["messages"]
        assert message.startswith(f"`services.hyperhive.{case['path']}`:"), f"{name}: {message}"
        assert case["value"] in message, f"{name}: {message}"


def test_there_is_a_bad_example_for_everything_that_the_issue_names(bad: dict[str, Any]) -> None:
    assert len(bad) > 30
    words = " ".join(message for case in bad.values() for message in case["messages"])
    for part in (
        "reserved",
        "9 at most",
        "same web port",
        "cannot be an agent's name",
        "Nix store",
        "bindMounts",
        "extraNspawnFlags",
    ):
        assert part in words, part


def test_a_real_host_names_all_its_mistakes_at_once(nix: Nix) -> None:
    said = nix.error("badHost")
    assert "Failed assertions:" in said
    for part in ("'builder' and 'lint'", "10 characters", "'Nobody'", "--setenv=A=b c"):
        assert part in said, part


def test_the_types_refuse_with_the_options_path(nix: Nix) -> None:
    cases = nix.evaluate("refusals")
    said = at_once(partial(nix.error, f"refused.{name}") for name in cases)
    for (name, case), text in zip(cases.items(), said, strict=True):
        assert f"option `services.hyperhive.{case['path']}'" in text, f"{name}: {text}"
        assert case["words"] in text, f"{name}: {text}"


def test_what_works_but_is_not_safe_is_a_warning(nix: Nix) -> None:
    said = nix.evaluate("warned")
    assert [text.split("`")[1].removeprefix("services.hyperhive.") for text in said] == [
        "agents.alice.allowedRecipients",
        "agents.alice.allowedRecipients",
        "defaults.environment.ANTHROPIC_API_KEY",
        "agents.alice.environment.CLAUDE_CODE_OAUTH_TOKEN",
        "agents.alice.budget.usd",
        "database.url",
    ]
    assert "made-up" not in " ".join(said)
    assert "no agent 'bop' is declared" in said[0]
    assert "no agent 'carol' is declared" in said[1]


def test_claude_code_is_the_one_unfree_package_that_is_allowed(nix: Nix) -> None:
    """Where the operator sets nothing, and in the container also where the host allows all."""
    found = nix.evaluate("unfree")
    assert set(found) == {"host", "container", "containerOfAllowing", "withoutOverlay"}
    for where, allowed in found.items():
        assert allowed == {"claude": True, "other": False}, where
