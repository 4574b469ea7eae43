"""Lets the benchmark import what some tiers of the tests have: their directories, at the end of the path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(Path(__file__).resolve().parents[1] / tier) for tier in ("nspawn", "nix", "integration")]
