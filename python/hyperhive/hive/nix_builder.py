"""Building what the manager proposed, for containers of NixOS: evaluated, built and compared before anybody is asked.

The tree was written by an agent, so it is evaluated and built as a user that the store's daemon does not trust, pure,
without imports from derivations, within bounds of memory, time and output, one at a time. Evaluation and building are
two programs: the first may not use the network and is where an agent's code runs; the second only asks the daemon,
whose sandbox runs the builds. What came of it is kept from the garbage collector by the hive, until it is decided.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.hive.builder import Builder, BuildResult
from hyperhive.hive.confined import Bounds, Confined, Log
from hyperhive.hive.nix_flake import is_store_path
from hyperhive.hive.unit_changes import restarted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from hyperhive.hive.confined import Ended, User
    from hyperhive.hive.nix_flake import Flake
    from hyperhive.hive.nix_roots import Roots

_log = logging.getLogger(__name__)

#: What the evaluation of an agent's code may not do, whatever the host's nix.conf says.
_STRICT: Final = {
    "accept-flake-config": "false",
    "allow-import-from-derivation": "false",
    "allowed-uris": "",
    "eval-cache": "false",
    "pure-eval": "true",
    "restrict-eval": "true",
    "use-registries": "false",
}
#: What a program of Nix needs of the hive's own environment.
_INHERITED: Final = ("PATH", "LOCALE_ARCHIVE", "NIX_CONF_DIR", "NIX_DAEMON_SOCKET_PATH", "NIX_REMOTE", "TZDIR")
#: Bytes of the heap that evaluation begins with: else a third of its time is the collector's.
_HEAP: Final = 256 * 1024 * 1024
_OUTPUT: Final = re.compile(r"(/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+\.drv)")
#: What begins a line of where an error comes from.
_TRACE: Final = ("…", "at ", "(stack trace", "(use ")
_UNHEARD: Final = re.compile(r"^warning: ignoring the client-specified setting .*\n", re.MULTILINE)
#: Seconds for looking at what was built.
_LOOK: Final = Bounds(seconds=60)
#: Characters of a reason, bytes of a comparison, and logs that are kept.
_REASON: Final = 500
_DIFF: Final = 64 * 1024
_LOGS: Final = 200


@dataclass(frozen=True, slots=True)
class BuildBounds:
    """What one proposal may use.

    Attributes:
        evaluation: of the program that runs the agent's code.
        build_seconds: for everything that is built of it.
        closure_bytes: that the built system may take in the store, with all that it refers to.
    """

    evaluation: Bounds = field(default_factory=partial(Bounds, seconds=300, memory_bytes=4 * 1024**3))
    build_seconds: float = 3600
    closure_bytes: int = 32 * 1024**3


class _RedError(Exception):
    """The proposal does not build; says why."""


class NixBuilder(Builder):
    """Builds one agent's part of the hive's flake.

    Args:
        flake: where systems come from.
        roots: keeps results from the garbage collector.
        place: the builder's directory, on which nothing else lies.
        logs: where logs are kept.
        running: the system that an agent runs on.
        user: who evaluates and builds; None is the hive's own user.
        bounds: what a proposal may use; asked before each.
        options: further settings of Nix.
    """

    builds = True

    def __init__(  # noqa: PLR0913 - what it is put together from, all but the first four by name
        self,
        flake: Flake,
        roots: Roots,
        place: Path,
        logs: Path,
        *,
        running: Callable[[str], Path | None],
        user: Callable[[], User | None] = lambda: None,
        bounds: Callable[[], BuildBounds] = BuildBounds,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._flake = flake
        self._roots = roots
        self._place = place
        self._logs = logs
        self._running = running
        self._user = user
        self._bounds = bounds
        self._options = dict(options or {})
        self._turn = asyncio.Lock()

    async def build(self, agent: str, approval_id: int, source: Path) -> BuildResult:
        """Build a proposal, when those before it are done.

        Raises:
            HiveError: `operation_failed`: it could not even be tried.
        """
        async with self._turn:
            log = Log()
            try:
                tree = await asyncio.to_thread(self._flake.propose, approval_id, source)
                result = await self._build(agent, approval_id, tree, log)
            except _RedError as red:
                result = self._red(approval_id, str(red), log)
            except HiveError as error:
                if error.code not in {"bad_config", "bad_proposal"}:
                    raise
                result = self._red(approval_id, str(error), log)
            except OSError as error:
                msg = f"nothing can be built: {error}"
                raise HiveError("operation_failed", msg, "Look at the directories of the builder") from error
            finally:
                # Also of what was cancelled, and what could not even be tried.
                self._write_log(approval_id, log)
            return result

    def _red(self, approval_id: int, why: str, log: Log) -> BuildResult:
        log.say(f"hyperhive: {why}")
        self._roots.drop(approval_id)
        return BuildResult(ok=False, log=_said(log), reason=why)

    async def _build(self, agent: str, approval_id: int, tree: Path, log: Log) -> BuildResult:
        job = _Job(self._place, approval_id, self._user(), self._options)
        try:
            await asyncio.to_thread(job.lay_out, lambda into: self._flake.lay_out(agent, tree, into))
            bounds = self._bounds()
            log.say(f"hyperhive: evaluating the system of '{agent}'")
            base = self.base(agent)
            derivation = await _evaluate(job, agent, bounds.evaluation, log)
            log.say(f"hyperhive: building {derivation}")
            system = await _realise(job, derivation, bounds.build_seconds, log)
            # While the link of the build still keeps it.
            self._roots.hold(approval_id, system)
            return replace(await self._describe(job, agent, system, bounds, log), base=base)
        finally:
            job.remove()

    async def _describe(self, job: _Job, agent: str, system: Path, bounds: BuildBounds, log: Log) -> BuildResult:
        if not _is_there(system / "init"):
            msg = f"{system} is no NixOS system: there is no init in it"
            raise _RedError(msg)
        size = await _closure_size(job, system)
        if size is not None and size > bounds.closure_bytes:
            most = f"{bounds.closure_bytes / 1024**3:g} GiB"
            msg = f"the system takes {size / 1024**3:.1f} GiB with all that it needs, and {most} are allowed"
            raise _RedError(msg)
        before = self._running(agent)
        diff: str | None = None
        units: tuple[str, ...] = ()
        if before is not None and _is_there(before):
            diff = await _closure_diff(job, before, system)
            units = await asyncio.to_thread(restarted, before, system)
        log.say(f"hyperhive: built {system}")
        return BuildResult(ok=True, log=_said(log), system=system, closure_diff=diff, size_bytes=size, units=units)

    async def keep(self, agent: str, approval_id: int) -> None:
        """The result runs: it stays, with the two before it, and its tree is what the flake has for the agent."""
        if (system := self._roots.held(approval_id)) is not None:
            self._roots.keep(agent, approval_id, system)
        await asyncio.to_thread(self._flake.deploy, agent, approval_id)
        self._roots.drop(approval_id)

    async def forget(self, agent: str, approval_id: int) -> None:  # noqa: ARG002 - the protocol's
        """The result is not wanted any more."""
        self._roots.drop(approval_id)
        await asyncio.to_thread(self._flake.drop, approval_id)

    async def sweep(self, wanted: Collection[int]) -> None:
        """Forget every result that nobody decides about any more; what a crash left of builds goes, too."""
        async with self._turn:
            self._roots.sweep(wanted)
            await asyncio.to_thread(self._flake.sweep, wanted)
            await asyncio.to_thread(shutil.rmtree, self._place / "jobs", ignore_errors=True)

    async def purge(self, agent: str) -> None:
        """Nothing of the agent is kept."""
        self._roots.purge(agent)
        await asyncio.to_thread(self._flake.purge, agent)

    def base(self, agent: str) -> str | None:
        """A word for the sources and the configFile."""
        return self._flake.word(agent)

    def log(self, approval_id: int) -> Path:
        """Where the log of a build is kept."""
        return self._logs / f"{approval_id}.log"

    def _write_log(self, approval_id: int, log: Log) -> None:
        try:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.log(approval_id).write_text(_said(log), encoding="utf-8")
            numbered = {int(path.stem): path for path in self._logs.glob("*.log") if path.stem.isdecimal()}
            for number in sorted(numbered)[:-_LOGS]:
                numbered[number].unlink(missing_ok=True)
        except OSError as error:
            _log.warning("the log of build %d cannot be kept: %s", approval_id, error)

    async def close(self) -> None:
        """What is being built ends with whoever waits for it."""


class _Job:
    """One build's directory, and the programs that are run on it.

    The tree is the hive's, and only read by the builder's user. What that user writes is in its home.
    """

    def __init__(self, place: Path, number: int, user: User | None, options: Mapping[str, str]) -> None:
        self._place = place
        self._home = place / "home"
        self.tree = place / "jobs" / str(number)
        self.link = self._home / f"result-{number}"
        self._user = user
        self._options = options
        inherited = {name: value for name in _INHERITED if (value := os.environ.get(name)) is not None}
        own = {"HOME": str(self._home), "XDG_CACHE_HOME": str(self._home / ".cache"), "LC_ALL": "C.UTF-8"}
        # Not the user's own file, which is in its home; and no colours.
        plain = {"NIX_USER_CONF_FILES": "", "NO_COLOR": "1", "TERM": "dumb", "GC_INITIAL_HEAP_SIZE": str(_HEAP)}
        self._confined = Confined(user, {**inherited, **own, **plain}, place)

    def lay_out(self, write: Callable[[Path], None]) -> None:
        """Make the directories and have the tree written."""
        self._home.mkdir(mode=0o700, exist_ok=True)
        if self._user is not None:
            os.chown(self._home, self._user.uid, self._user.gid)
        self.tree.parent.mkdir(mode=0o755, exist_ok=True)
        self.tree.parent.chmod(0o755)
        self.remove()
        write(self.tree)

    def remove(self) -> None:
        """Remove the tree, and the link that keeps the result."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.link.unlink(missing_ok=True)

    async def nix(self, words: Sequence[str], bounds: Bounds, log: Log, **options: str) -> Ended:
        """Run Nix."""
        chosen = {**self._options, **options, "warn-dirty": "false"}
        settings = [word for name, value in chosen.items() for word in ("--option", name, value)]
        features = ("--extra-experimental-features", "nix-command flakes")
        return await self._confined.run(["nix", *features, *settings, *words], bounds, log)


def _said(log: Log) -> str:
    """What a person should read of it: not, at every program, what the daemon does not take from this user."""
    return _UNHEARD.sub("", log.text)


def _is_there(path: Path) -> bool:
    """Whether there is something of that name, wherever it leads."""
    return os.path.lexists(path)


async def _evaluate(job: _Job, agent: str, bounds: Bounds, log: Log) -> str:
    """The derivation of the system."""
    attribute = f"path:{job.tree}#nixosConfigurations.{agent}.config.system.build.toplevel.drvPath"
    words = ("eval", "--offline", "--raw", "--no-write-lock-file", attribute)
    ended = await job.nix(words, bounds, log, **_STRICT)
    if not ended.ok:
        raise _RedError(_why("the evaluation", ended, bounds, log))
    found = _OUTPUT.fullmatch(ended.out)
    if found is None:
        raise _RedError("system.build.toplevel is no derivation")
    return found.group(1)


async def _realise(job: _Job, derivation: str, seconds: float, log: Log) -> Path:
    """The built system, kept by the job's link."""
    bounds = Bounds(seconds=seconds)
    words = ("build", "--print-build-logs", "--print-out-paths", "--out-link", str(job.link), f"{derivation}^out")
    ended = await job.nix(words, bounds, log, timeout=f"{seconds:.0f}")
    if not ended.ok:
        raise _RedError(_why("the build", ended, bounds, log))
    path = ended.out.strip()
    if not is_store_path(path) or not _is_there(Path(path)):
        raise _RedError("the build gave no path in the store")
    return Path(path)


async def _closure_diff(job: _Job, before: Path, after: Path) -> str | None:
    ended = await job.nix(("store", "diff-closures", str(before), str(after)), _LOOK, Log())
    said = Log(_DIFF, 0)
    said.feed(ended.out.encode())
    return said.text if ended.ok else None


async def _closure_size(job: _Job, system: Path) -> int | None:
    ended = await job.nix(("path-info", "--closure-size", str(system)), _LOOK, Log())
    last = ended.out.split()[-1:] if ended.ok else []
    return int(last[0]) if last and last[0].isdecimal() else None


def _why(what: str, ended: Ended, bounds: Bounds, log: Log) -> str:
    """In one sentence, why a program did not end well."""
    if ended.over is not None:
        return f"{what} was ended: {ended.over}"
    said = _said(log)
    if bounds.memory_bytes is not None and (ended.code < 0 or "out of memory" in said.lower()[-2000:]):
        return f"{what} needed more than {bounds.memory_bytes / 1024**3:g} GiB of memory"
    return f"{what} failed: {_last_error(said) or f'it ended with {ended.code}'}"[:_REASON]


def _last_error(said: str) -> str:
    """The last thing that Nix calls an error; one of several lines, as failed assertions are, begins on the next."""
    found = ""
    lines = [line.strip() for line in said.splitlines()]
    for at, line in enumerate(lines):
        if line.startswith("error:"):
            rest = itertools.takewhile(bool, lines[at + 1 :]) if line == "error:" else ()
            more = " ".join(word for word in rest if not word.startswith(_TRACE))
            found = line.removeprefix("error:").strip() or more or found
    return found
