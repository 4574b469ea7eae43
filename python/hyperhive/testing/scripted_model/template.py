"""Fills `{name}` in what a script says.

Only names that are known are replaced, in one pass: any other brace stays as it is, and braces inside a value are never
looked at again, so that no text of a user can break a reply.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*|[0-9]{1,2})\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """`template` with each `{name}` of `values` replaced by its value."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), template)


def fill_all(template: Any, values: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON values
    """`template`, any JSON value, with each string in it filled; the keys of objects stay."""
    if isinstance(template, str):
        return fill(template, values)
    if isinstance(template, list):
        return [fill_all(item, values) for item in template]
    if isinstance(template, dict):
        return {key: fill_all(item, values) for key, item in template.items()}
    return template


def values_of(match: re.Match[str]) -> dict[str, str]:
    """The groups of a match by number and by name; a group that took no part is empty."""
    numbered = {str(number): match[number] or "" for number in range((match.re.groups or 0) + 1)}
    return numbered | {name: text or "" for name, text in match.groupdict().items()}
