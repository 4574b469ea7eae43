"""The manager's side of configuration as git: clones what runs, bundles a commit, hands it to the hive.

Whatever git finds in one of these repositories was put there by the manager itself: its own git runs here, in its own
container, with no more power than its shell has. The hive never looks into them; it gets a bundle of one ref and checks
that for itself.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from hyperhive.errors import HiveError
from hyperhive.names import parse_agent_name
from hyperhive.programs import start_program
from hyperhive.wire import MAX_BUNDLE, PROPOSAL

if TYPE_CHECKING:
    from hyperhive.harness.settings import Settings

#: Seconds that one run of git may take.
_SECONDS: Final = 60.0
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")
_SAID: Final = 500


class _Done(NamedTuple):
    """How git ended: what it printed, and where it failed, why."""

    out: str
    why: str | None


class Configurations:
    """The repositories in which the manager prepares changes; none for anybody else.

    Args:
        settings: where they are.
    """

    def __init__(self, settings: Settings) -> None:
        self._proposed, self._applied = settings.proposed, settings.applied
        self._lock = asyncio.Lock()

    @property
    def there(self) -> bool:
        """Whether this is the manager's container."""
        return self._proposed is not None and self._proposed.is_dir()

    async def prepare(self) -> None:
        """Clone every repository that is not there yet; what cannot be cloned now is tried again at the next turn."""
        for name in await asyncio.to_thread(self._missing):
            with suppress(HiveError):
                async with self._lock:
                    await self._clone(name)

    async def bundle(self, agent: str, commit: str, into: Path) -> str:
        """Write the bundle of a commit and of all that it is made of.

        Returns:
            The whole hash.

        Raises:
            HiveError: `bad_proposal`: it is no commit of that repository, or too much; `not_found`: no such agent.
        """
        if not _COMMIT.fullmatch(commit):
            what = f"{commit[:60]!r} is no hash of a commit; names of branches and tags are not taken"
            raise HiveError("bad_proposal", what, "Take it from: git rev-parse HEAD")
        place = self._place(agent)
        async with self._lock:
            if await self._clone(agent):
                what = f"the configuration of '{agent}' was not cloned so far; now it is, at {place}"
                raise HiveError("bad_proposal", what, "Change it there, commit, and ask with the new commit")
            found = await _git(place, "rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
            # A branch may be called like the beginning of a hash.
            if found.why or not found.out.startswith(commit):
                raise HiveError("bad_proposal", f"there is no commit {commit} in {place}", "See: git log")
            await _or_refuse(place, "update-ref", PROPOSAL, found.out)
            await _or_refuse(place, "bundle", "create", "--quiet", "--version=2", str(into), PROPOSAL)
        size = await asyncio.to_thread(lambda: into.stat().st_size)
        if size > MAX_BUNDLE:
            what = f"the commit and its history have {size:,} bytes; at most {MAX_BUNDLE:,} can be proposed"
            raise HiveError("bad_proposal", what, "Keep large files out of it, and out of its history")
        return found.out

    def _place(self, agent: str) -> Path:
        name = parse_agent_name(agent)
        if self._proposed is None or not (self._proposed / name).is_dir():
            what = f"there is no directory for the configuration of '{name}'"
            raise HiveError("not_found", what, "list_agents shows who there is; a new agent has it after a moment")
        return self._proposed / name / "config"

    def _missing(self) -> list[str]:
        """The agents whose repository is not cloned."""
        if self._proposed is None or not self._proposed.is_dir():
            return []
        names = sorted(entry.name for entry in os.scandir(self._proposed) if entry.is_dir(follow_symlinks=False))
        return [name for name in names if not _has_something(self._proposed / name / "config")]

    async def _clone(self, name: str) -> bool:
        """Clone an agent's repository if it is not there; whether that was done now.

        Raises:
            HiveError: it cannot be done.
        """
        place = self._place(name)
        if await asyncio.to_thread(_has_something, place):
            return False
        source = (self._applied or Path("/applied")) / f"{name}.git"
        making = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=".config.", dir=place.parent))
        try:
            safe = f"safe.directory={source}"
            # The hive's repository may have another owner, and whoever serves it asks for itself whose it is.
            serve = f"git -c {shlex.quote(safe)} upload-pack"
            done = await _git(
                making,
                *("-c", safe, "clone", "--quiet", "--no-hardlinks", "--template=", "--upload-pack", serve),
                *("--config", f"remote.origin.uploadpack={serve}", "--config", "remote.origin.tagOpt=--tags"),
                *("--", str(source), str(making)),
            )
            if done.why:
                what = f"the configuration of '{name}' cannot be cloned from {source}: {done.why}"
                raise HiveError("operation_failed", what, "It may still be made; ask again in a moment")
            await asyncio.to_thread(making.rename, place)
        except OSError as error:
            what = f"the configuration of '{name}' cannot be cloned to {place}: {error.strerror}"
            raise HiveError("operation_failed", what, "Move away what is there") from error
        finally:
            await asyncio.to_thread(shutil.rmtree, making, ignore_errors=True)
        return True


async def _or_refuse(place: Path, *words: str) -> None:
    done = await _git(place, *words)
    if done.why:
        raise HiveError("bad_proposal", f"git {words[0]} failed in {place}: {done.why}", "Try: git fsck")


def _has_something(place: Path) -> bool:
    try:
        return any(place.iterdir())
    except NotADirectoryError:
        return True
    except OSError:
        return False


async def _git(place: Path, *arguments: str) -> _Done:
    """Run git in a repository of the manager's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        process = await start_program(
            *("git", "-C", str(place), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    except OSError as error:
        return _Done("", f"git cannot be run: {error.strerror}")
    try:
        async with asyncio.timeout(_SECONDS):
            out, err = await process.communicate()
    except TimeoutError:
        return _Done("", f"it did not end within {_SECONDS:g} s")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.communicate())
    said = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    why = (said[-1] if said else f"it ended with {process.returncode}")[:_SAID] if process.returncode else None
    return _Done(out.decode(errors="replace").strip(), why)
