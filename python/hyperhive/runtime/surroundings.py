"""What a harness needs of the host: the Python that runs it, the packages it imports, the `claude` program, a PATH.

The answer is a set of directories, each named by the path under which the programs look for it. `bubblewrap` shows them
read-only at the same paths, `process` as root opens a way to them. The operator's working directory and home are never
among them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import hyperhive
from hyperhive.runtime.links import link_chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_STORE: Final = Path("/nix/store")
_SYSTEM_BIN: Final = Path("/run/current-system/sw/bin")
_PATH: Final = ("/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True)
class Surroundings:
    """What of the host a harness needs.

    Attributes:
        roots: directories with all below them.
        files: some files in them that show whether they can be read.
        links: links to recreate: path and target.
        path: PATH.
        python_path: directories that Python would not search by itself.
    """

    roots: tuple[Path, ...]
    files: tuple[Path, ...]
    links: tuple[tuple[Path, Path], ...]
    path: str
    python_path: tuple[Path, ...]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """The part of the environment that is the same for all agents."""
        python = {"PYTHONPATH": os.pathsep.join(map(str, self.python_path))} if self.python_path else {}
        return {"PATH": self.path, "LANG": "C.UTF-8", **python, **more}


def default_command() -> tuple[str, ...]:
    """The harness. `-P` and `-s`: Python files that an agent keeps in its directories must not replace modules."""
    return (sys.executable, "-P", "-s", "-m", "hyperhive.harness")


def _is_below(path: Path, roots: Iterable[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)


def outermost(paths: Iterable[Path]) -> tuple[Path, ...]:
    """`paths` without those that lie below another one."""
    kept: list[Path] = []
    for path in sorted(set(paths), key=lambda path: (len(path.parts), path)):
        if path != Path("/") and not _is_below(path, kept):
            kept.append(path)
    return tuple(kept)


def _claude() -> Path | None:
    """The `claude` program, where it is not the one that comes with the SDK."""
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec and spec.origin and (Path(spec.origin).parent / "_bundled" / "claude").exists():
        return None
    found = shutil.which("claude")
    return Path(found).absolute() if found else None


def _packages(prefixes: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Directories to show and directories to search, for what is imported from outside of `prefixes`."""
    package = Path(hyperhive.__file__).parent
    entries = [Path(entry) for entry in sys.path if Path(entry).is_absolute() and Path(entry).is_dir()]
    search = [
        entry
        for entry in entries
        if (entry.name in {"site-packages", "dist-packages"} or _is_below(entry, [_STORE]))
        and not _is_below(entry, prefixes)
    ]
    show = list(search)
    if not _is_below(package, [*prefixes, *search]):
        # A checkout: of its directory only the package, because the hive's state may lie beside it.
        show.append(package)
        search.insert(0, package.parent)
    return show, search


def find_surroundings(command: Iterable[str]) -> Surroundings:
    """Look at this interpreter and this host. `command` is how a harness is started."""
    prefixes = {Path(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)}
    prefixes |= {prefix.resolve() for prefix in prefixes}
    show, search = _packages(prefixes)
    programs = [Path(word) for word in list(command)[:1]]
    claude = _claude()
    if claude and not _is_below(claude, prefixes):
        programs.append(claude)
    links: list[tuple[Path, Path]] = []
    for program in programs:
        chain, end = link_chain(program)
        links += chain
        # A single program may share its directory with anything: show it alone, except for claude as a script.
        show.append(end.parent if program == claude else end)
    bins = [str(claude.parent)] if claude else []
    bins += [entry for entry in os.get_exec_path() if _is_below(Path(entry), [_STORE])]
    bins += [str(_SYSTEM_BIN)] if _SYSTEM_BIN.exists() else []
    return Surroundings(
        roots=outermost([*prefixes, *show]),
        files=(Path(os.__file__), Path(hyperhive.__file__), *(link_chain(program)[1] for program in programs)),
        links=tuple((link, target) for link, target in links if not _is_below(link, [*prefixes, *show])),
        path=os.pathsep.join(dict.fromkeys([*bins, *_PATH])),
        python_path=tuple(dict.fromkeys(search)),
    )
