"""The figures of a rebuild: what more agents cost Nix. The tier `nix` measures them; here they are printed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import elsewhere  # noqa: F401 - before what it makes importable
from evaluation import COUNTS, figures
from nix_bed import Nix

if TYPE_CHECKING:
    from pathlib import Path

    from figures import Results


async def evaluation(results: Results, directory: Path, *, quick: bool) -> None:
    """Hosts with one and with many agents; Nix counts, so one round says it all."""
    if quick:
        results.not_run["evaluation"] = "it has no short round"
        return
    made = await asyncio.to_thread(_measured, directory)
    if isinstance(made, str):
        results.not_run["evaluation"] = made
        return
    few, _many = COUNTS
    results.notes["evaluatedAgents"] = COUNTS
    results.add("one_more_agent", [made["one_more_agent_percent"]])
    results.add("fifty_agents", [made["many_to_one"]])
    results.add("one_agent_work", [made[f"calls_and_thunks_{few}_agent"] / 1e6])


def _measured(directory: Path) -> dict[str, Any] | str:
    """The figures, or why there are none."""
    nix = Nix.find(directory / "flake")
    return nix if isinstance(nix, str) else figures(nix, directory)
