"""What may be shown of a value: no secret of the agent, and no string longer than a page can bear. Pure functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes of one string in an event.
MAX_STRING: Final = 32 * 1024
#: Characters of the JSON of all data of one event.
MAX_EVENT: Final = 128 * 1024
#: A shorter secret would be found in innocent words.
_SHORTEST_SECRET: Final = 8


class Redactor:
    """Replaces the values of credentials wherever they turn up. Its own representation holds none of them."""

    __slots__ = ("_secrets",)

    def __init__(self) -> None:
        self._secrets: list[tuple[str, str]] = []

    def know(self, credentials: Mapping[str, str]) -> None:
        """Take these for the secrets, instead of earlier ones."""
        found = [(value, f"[{name}]") for name, value in credentials.items() if len(value) >= _SHORTEST_SECRET]
        self._secrets = sorted(found, key=lambda pair: -len(pair[0]))

    def clear(self, value: Any) -> Any:  # noqa: ANN401 - any JSON value, returned as it came
        """`value` without secrets, at any depth."""
        if not self._secrets:
            return value
        if isinstance(value, str):
            for secret, shown in self._secrets:
                value = value.replace(secret, shown)
            return value
        if isinstance(value, dict):
            return {self.clear(key): self.clear(inner) for key, inner in value.items()}
        return [self.clear(inner) for inner in value] if isinstance(value, list) else value


def fitted(data: dict[str, Any]) -> dict[str, Any]:
    """`data` with each string cut to `MAX_STRING` bytes; `truncated: True` is added where something was cut."""
    cut, shown = _cut(data)
    text = json.dumps(shown)
    if len(text) > MAX_EVENT:
        keep = {key: value for key, value in shown.items() if isinstance(value, (int, float, bool))}
        names = {key: shown[key] for key in ("id", "name") if isinstance(shown.get(key), str)}
        return {**keep, **names, "text": text[:MAX_STRING], "truncated": True}
    return {**shown, "truncated": True} if cut else shown


def _cut(value: Any) -> tuple[bool, Any]:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        # Lone surrogates come from claude now and then; they cannot be sent as UTF-8.
        data = value.encode(errors="replace")
        if len(data) <= MAX_STRING:
            return False, data.decode()
        return True, data[:MAX_STRING].decode(errors="ignore") + "…"
    if isinstance(value, dict):
        pairs = {str(key): _cut(inner) for key, inner in value.items()}
        return any(cut for cut, _ in pairs.values()), {key: inner for key, (_, inner) in pairs.items()}
    if isinstance(value, (list, tuple)):
        items = [_cut(inner) for inner in value]
        return any(cut for cut, _ in items), [inner for _, inner in items]
    if value is None or isinstance(value, (bool, int, float)):
        return False, value
    return False, str(value)
