"""Running tests once more as somebody who may not do everything, from a run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def as_nobody(place: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as the user nobody, with a home of its own and the packages of this Python."""
    home = place / "home"
    home.mkdir(exist_ok=True)
    os.chown(home, 65534, 65534)
    packages = [entry for entry in sys.path if Path(entry).name == "site-packages"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": os.pathsep.join([*packages, str(REPOSITORY / "python")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPERHIVE_REQUIRE_TIERS": os.environ.get("HYPERHIVE_REQUIRE_TIERS", ""),
    }
    # setpriv itself still passes through closed directories; what env starts does not.
    become = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", "env")
    return subprocess.run(
        [*become, *map(str, command)], env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


def usable_python(place: Path) -> tuple[str | None, str]:
    """A Python that nobody can run these tests with, and what to say where there is none."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pythons = [sys.executable, shutil.which(version, path="/usr/bin:/usr/local/bin")]
    found = (p for p in pythons if p and as_nobody(place, p, "-c", "import pytest, pydantic").returncode == 0)
    return next(found, None), f"no {version} that the user nobody could run with these packages"


def again_as_nobody(place: Path, python: str, *arguments: str | Path) -> None:
    """Run tests, and show what they said where they failed."""
    options = ["-m", "pytest", "-c", "python/pyproject.toml", "--rootdir=.", "-p", "no:cacheprovider", "-q"]
    tests = as_nobody(place, python, *options, *arguments)
    print(tests.stdout, tests.stderr)  # noqa: T201 - shown where it failed
    assert tests.returncode == 0
