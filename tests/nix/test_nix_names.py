"""modules/lib and hyperhive.names say the same of every name."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hyperhive import config, names

if TYPE_CHECKING:
    from nix_bed import Nix

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VECTORS = {"test": 8945, "alice": 8879, "bob": 8744, "coder": 8202, "builder": 8900, "lint": 8900, "manager": 8000}
_ODD = ["", "a", "a-", "-a", "9a", "a b", "a\nb", "a\n", "Ab", "ä", "ninechars", "tencharact", "..", "a/b", "a_b"]


def _is_name(name: str) -> bool:
    try:
        names.check_agent_name(name)
    except ValueError:
        return name in names.RESERVED - {"*"}  # the form is right; that it is taken is another question
    return True


def test_ports_forms_and_collisions_are_the_same(nix: Nix) -> None:
    choose = random.Random(3).choice  # noqa: S311 - the same names every time
    made = ["".join(choose(_LETTERS) for _ in range(1 + number % 9)) for number in range(400)]
    asked = [*_VECTORS, *_ODD, *dict.fromkeys(made)]
    found = nix.evaluate("names", names=asked)
    assert found["good"] == [_is_name(name) for name in asked]
    good = [name for name in asked if _is_name(name)]
    assert found["ports"] == [names.web_port(name) for name in good]
    assert found["ports"][: len(_VECTORS)] == list(_VECTORS.values())
    collisions = {str(port): group for port, group in names.port_collisions(good)}
    assert {port: sorted(group) for port, group in found["collisions"].items()} == collisions
    assert set(found["reserved"]) == names.RESERVED
    assert set(found["ownFlags"]) == set(config._OWN_FLAGS)
    assert set(found["ownPlaces"]) == config._OWN_PLACES
