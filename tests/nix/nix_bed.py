"""Nix for the tests of this folder: found on this machine, offline, nothing built.

`cases.nix` says what can be evaluated; each attribute of it is one process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT: Final = Path(__file__).resolve().parents[2]
#: The hosts of cases.nix, those that take longest first.
HOSTS: Final = ("many", "everything", "example")
#: Seconds after which an evaluation hangs: it takes half a minute of a processor, which may be slow and shared.
_LONGEST: Final = 800
#: What of the checkout the flake needs. `path:` copies into the store what is there, also virtual environments.
_PARTS: Final = (
    "flake.nix",
    "flake.lock",
    "checks",
    "examples",
    "modules",
    "overlays",
    "packages",
    "templates",
    "tests/nix",
    "python/package.nix",
    "python/pyproject.toml",
    "python/hyperhive",
)


@dataclass(frozen=True)
class Nix:
    """Nix, a nixpkgs to evaluate with, and a copy of the flake, so that nobody's editing comes between two looks."""

    nixpkgs: Path
    root: Path

    @classmethod
    def find(cls, directory: Path) -> Nix | str:
        """Nix of this machine with a copy of the flake in `directory`, or why there is none."""
        if not shutil.which("nix") or not shutil.which("nix-instantiate"):
            return "there is no nix on PATH"
        found = _run(["nix-instantiate", "--find-file", "nixpkgs"])
        if found.returncode:
            return "there is no <nixpkgs>: nix-channel --add, or NIX_PATH=nixpkgs=…"
        return cls(Path(found.stdout.strip()).resolve(), _copy_flake(directory))

    def evaluate(self, attribute: str, *, stats: Path | None = None, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """The value of `attribute` of cases.nix.

        Args:
            attribute: a dotted path.
            stats: a file for Nix's own figures of the evaluation.
            arguments: for an attribute that is a function.
        """
        done = self._instantiate(attribute, stats, arguments)
        assert not done.returncode, f"{attribute}: {done.stderr[-6000:]}"
        return json.loads(done.stdout)

    def error(self, attribute: str) -> str:
        """What Nix says about `attribute`, which does not evaluate."""
        done = self._instantiate(attribute, None, {})
        assert done.returncode, f"{attribute} evaluates"
        return done.stderr

    def instantiate(self, attribute: str, root: Path) -> str:
        """The derivation that `attribute` of cases.nix is, in the store; the flake is that in `root`."""
        words = ["nix-instantiate", str(self.root / "tests/nix/cases.nix"), "-A", attribute]
        done = _run([*words, "--argstr", "root", str(root), "--argstr", "nixpkgs", str(self.nixpkgs)])
        assert not done.returncode, f"{attribute}: {done.stderr[-6000:]}"
        return done.stdout.strip()

    def flake(self, *verb: str, override: bool = True) -> subprocess.CompletedProcess[str]:
        """`nix … path:FLAKE`, with the inputs that cannot be fetched here replaced."""
        inputs = [
            word
            for name in ("nixpkgs", "nixpkgs-unstable")
            for word in ("--override-input", name, f"path:{self.nixpkgs}")
            if override
        ]
        features = ["--extra-experimental-features", "nix-command flakes", "--offline"]
        return _run(["nix", *features, *verb, *inputs, f"path:{self.root}"])

    def _instantiate(
        self, attribute: str, stats: Path | None, arguments: dict[str, object]
    ) -> subprocess.CompletedProcess[str]:
        words = ["nix-instantiate", "--eval", "--strict", "--json", str(self.root / "tests/nix/cases.nix")]
        words += ["-A", attribute, "--argstr", "root", str(self.root), "--argstr", "nixpkgs", str(self.nixpkgs)]
        for name, value in arguments.items():
            words += ["--arg", name, f"builtins.fromJSON {_quoted(json.dumps(value))}"]
        return _run(words, {"NIX_SHOW_STATS": "1", "NIX_SHOW_STATS_PATH": str(stats)} if stats else {})


def at_once(calls: Iterable[Callable[[], Any]]) -> list[Any]:
    """The results of `calls`, as many at a time as there are processors."""
    with ThreadPoolExecutor(max(1, min(4, len(os.sched_getaffinity(0))))) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def _copy_flake(directory: Path) -> Path:
    for part in _PARTS:
        source, target = ROOT / part, directory / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return directory


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def _run(words: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    # A large heap from the start: more than a third of the time is the collector's otherwise.
    environ = {"GC_INITIAL_HEAP_SIZE": "1G", **os.environ, **(environment or {})}
    return subprocess.run(words, capture_output=True, text=True, env=environ, timeout=_LONGEST, check=False)
