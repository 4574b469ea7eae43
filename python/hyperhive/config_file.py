"""Reading the settings file: JSON in camelCase in, `HiveSettings` out, every mistake named by its path in the file.

Keys are renamed here and nowhere else. Only the keys of our own models are; the keys of free-form maps (environment
variables, agents) are data and stay as they are.
"""

from __future__ import annotations

import json
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_settings import SettingsError

from hyperhive.config import HiveSettings
from hyperhive.errors import HiveError
from hyperhive.names import nearest

if TYPE_CHECKING:
    from pathlib import Path

Path_ = tuple[str | int, ...]


@dataclass
class _Renamed:
    """Remembers how each renamed place was spelled in the file."""

    spelled: dict[Path_, Path_] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def rename(self, value: object, annotation: object, path: Path_, shown: Path_) -> object:
        self.spelled[path] = shown
        model, element = _shape(annotation)
        if isinstance(value, dict) and model:
            return {
                key: self.rename(inner, kind, (*path, key), (*shown, spelled))
                for spelled, inner in value.items()
                for key, kind in [self._key(spelled, model, shown)]
            }
        if isinstance(value, dict) and element is not None:
            return {k: self.rename(v, element, (*path, k), (*shown, k)) for k, v in value.items()}
        return value

    def _key(self, spelled: str, model: type[BaseModel], shown: Path_) -> tuple[str, object]:
        known = {to_camel(name): name for name in model.model_fields}
        if spelled in known:
            return known[spelled], model.model_fields[known[spelled]].annotation
        near = nearest(to_camel(spelled), known)
        meant = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(sorted(known))}"
        self.wrong.append(f"{_dotted((*shown, spelled))}: unknown key; {meant}")
        return spelled, None


def _shape(annotation: object) -> tuple[type[BaseModel] | None, object | None]:
    """The model that `annotation` holds, or the type of the values of a free-form map."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, None
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return None, inner[1]
    if origin in (Union, types.UnionType):
        return next((shape for shape in map(_shape, inner) if any(shape)), (None, None))
    return None, None


def _dotted(path: Path_) -> str:
    return ".".join(str(part) for part in path) or "(the whole file)"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise HiveError("bad_config", f"the key '{key}' stands twice in one object", "Remove one of them")
        found[key] = value
    return found


def parse_settings(text: str, **overrides: object) -> HiveSettings:
    """Read settings from JSON text.

    Args:
        text: the file's content.
        overrides: fields (in snake_case) that win over the file, for example from the command line.

    Raises:
        HiveError: `bad_config`, with one line for each mistake in `data["problems"]`.
    """
    try:
        raw = json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        raise _bad([f"line {error.lineno}, column {error.colno}: no valid JSON: {error.msg}"]) from None
    except (ValueError, RecursionError) as error:
        raise _bad([f"(the whole file): cannot be read: {error}"]) from None
    if not isinstance(raw, dict):
        raise _bad(["(the whole file): must be an object, { … }"])
    renamed = _Renamed()
    values = cast("dict[str, Any]", renamed.rename(raw, HiveSettings, (), ()))
    try:
        settings = _construct({**values, **overrides})
    except ValidationError as error:
        problems = [line for found in error.errors() if (line := _line(found, renamed.spelled))]
        raise _bad(renamed.wrong + problems) from None
    except SettingsError as error:
        raise _bad([f"a HYPERHIVE_… variable of the environment: {error}"]) from None
    if renamed.wrong:
        raise _bad(renamed.wrong)
    return settings


def _construct(values: dict[str, Any]) -> HiveSettings:
    return HiveSettings(**values)


def load_settings(path: Path, **overrides: object) -> HiveSettings:
    """Read the settings file at `path`; see `parse_settings`.

    Raises:
        HiveError: `bad_config`, also when the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _bad([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise _bad([f"{path}: is no UTF-8 text"]) from None
    return parse_settings(text, **overrides)


def _line(found: Any, spelled: dict[Path_, Path_]) -> str | None:  # noqa: ANN401 - pydantic's ErrorDetails
    loc: Path_ = tuple(part for part in found["loc"] if part != "[key]")
    if found["type"] == "extra_forbidden":
        return None  # already said, with the nearest key
    shown = spelled.get(loc) or (*spelled.get(loc[:-1], loc[:-1]), *loc[-1:])
    text = found["msg"].removeprefix("Value error, ")
    return text if not loc else f"{_dotted(shown)}: {text}"


def _bad(problems: list[str]) -> HiveError:
    count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
    return HiveError(
        "bad_config",
        f"the settings have {count}: " + "; ".join(problems),
        "Correct them and try again; docs/options.md lists every key",
        problems=problems,
    )
