"""Which builder a hive has: Nix for containers of NixOS, none where agents are processes of this machine.

Everything is asked anew for each build, so that changed settings hold from the next one on.
"""

from __future__ import annotations

import pwd
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.clock import parse_span
from hyperhive.errors import HiveError
from hyperhive.hive.builder import Builder, NoBuilder
from hyperhive.hive.confined import User
from hyperhive.hive.nix_builder import BuildBounds, NixBuilder
from hyperhive.hive.nix_flake import Flake, flake_text
from hyperhive.hive.nix_roots import Roots
from hyperhive.runtime.container import container_of

if TYPE_CHECKING:
    from hyperhive.hive.hive import Hive

#: Who builds what agents wrote, and where; the NixOS module makes both.
USER: Final = "hyperhive-builder"
PLACE: Final = Path("/var/lib/hyperhive-builder")
ROOTS: Final = Path("/nix/var/nix/gcroots/hyperhive")
_UNITS: Final = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def select_builder(hive: Hive) -> Builder:
    """The builder for the hive's runtime."""
    if hive.runtime.name != "nixos-container":
        return NoBuilder()
    flake = Flake(
        hive.layout.state / "flake",
        lambda: flake_text(hive.settings.builder),
        lambda agent: own.config_file if (own := hive.settings.agents.get(agent)) else None,
    )
    return NixBuilder(
        flake,
        Roots(ROOTS),
        PLACE,
        hive.layout.builds,
        running=lambda agent: container_of(hive.settings, agent, hive.deployment.system(agent)).system,
        user=_user,
        bounds=lambda: bounds_of(hive),
    )


def bounds_of(hive: Hive) -> BuildBounds:
    """What a proposal may use, by the settings in force."""
    usual, chosen = BuildBounds(), hive.settings.builder
    evaluation = replace(usual.evaluation, memory_bytes=_bytes(chosen.memory_max))
    return replace(usual, evaluation=evaluation, build_seconds=parse_span(chosen.timeout).total_seconds())


def _bytes(size: str) -> int:
    return int(size.rstrip("KMGT")) * _UNITS.get(size[-1], 1)


def _user() -> User:
    try:
        found = pwd.getpwnam(USER)
    except KeyError:
        msg = f"there is no user {USER}, and what agents wrote is built as nobody else"
        raise HiveError("bad_config", msg, "The NixOS module makes it; build the configuration anew") from None
    return User(found.pw_uid, found.pw_gid)
