"""The scenario: which agent answers which prompt with which steps.

Written as JSON or built in Python, validated whole before anything runs; an error names the path of the wrong key.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from hyperhive.errors import HiveError
from hyperhive.names import EVERYONE, check_agent_name
from hyperhive.testing.scripted_model.steps import KINDS, AnyStep

if TYPE_CHECKING:
    from pathlib import Path

_STEP_LISTS: Final = {"steps", "otherwise"}


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        msg = f"{pattern!r} is no regular expression: {error}"
        raise ValueError(msg) from None
    return pattern


def _check_owner(name: str) -> str:
    return name if name == EVERYONE else check_agent_name(name)


Steps = Annotated[list[AnyStep], Field(min_length=1)]


class Rule(BaseModel):
    """The steps that answer a prompt which `when` is found in.

    Attributes:
        when: a regular expression, searched in the prompt; without it the rule matches always.
        times: how many turns it may answer; without it any number.
        steps: what the model does then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Annotated[str, AfterValidator(_check_pattern)] | None = None
    times: PositiveInt | None = None
    steps: Steps


class Script(BaseModel):
    """What one agent does: the first rule that matches, or else `otherwise`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[Rule] = []
    otherwise: Steps | None = None


class Scenario(BaseModel):
    """A script for each agent; `*` is for those without one, and for prompts that an agent's own script leaves open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agents: dict[Annotated[str, AfterValidator(_check_owner)], Script]

    @classmethod
    def parse(cls, data: object) -> Scenario:
        """Read a scenario from what JSON gave.

        Raises:
            HiveError: `bad_config`, with one line for each wrong key.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [f"{_path(item['loc'])}: {_sentence(item)}" for item in error.errors()]
            message = "the scenario is wrong at " + "\n".join(lines)
            raise _wrong(message, "The format is in docs/scripted-model.md") from None

    @classmethod
    def load(cls, path: Path) -> Scenario:
        """Read a scenario from a JSON file.

        Raises:
            HiveError: `bad_config`; the file cannot be read, is no JSON, or is no scenario.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            message = f"{path} cannot be read as JSON: {error}"
            raise _wrong(message, "Correct the file") from None
        return cls.parse(data)


def _wrong(message: str, hint: str) -> HiveError:
    return HiveError("bad_config", message, hint)


def _path(location: tuple[int | str, ...]) -> str:
    """`agents.alice.rules[0].steps[1].chunk`: pydantic's location as one would write it, without the kind of a step."""
    text = ""
    before: tuple[int | str, int | str] = ("", "")
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part == "[key]":
            text += " (the key)"
        elif not (before[0] in _STEP_LISTS and isinstance(before[1], int) and part in KINDS):
            text += f".{part}" if text else part
        before = (before[1], part)
    return text or "the top"


def _sentence(item: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails lives in another package
    words = {"extra_forbidden": "there is no such key", "missing": "this key is missing"}
    return words.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
