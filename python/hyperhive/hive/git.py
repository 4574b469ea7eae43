"""The one way in which the hive runs git: on bare repositories of its own, with nothing around it that could act.

git reads instructions from more places than a repository's objects: the user's and the system's config, variables of
its environment, hooks, attributes, replacement refs, alternates. What comes from an agent is objects alone, and
everything else is nailed down here: an environment made anew, a config that forbids every transport, hooks, monitors,
pagers and prompts, a time limit, limits of memory and file size, and an end to what it may say.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.programs import start_program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: The tree without entries, which every git knows: attributes are looked for in it, so that there are none.
EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
#: Bytes of an answer, unless the caller says otherwise, and of what git says about errors.
_ANSWER: Final = 4 * 1024 * 1024
_WORDS: Final = 16 * 1024
_CHUNK: Final = 65536
#: Seconds that one run may take, and those in which its last words are read.
_SECONDS: Final = 20.0
_LAST_WORDS: Final = 2.0
#: Bytes: memory that one run may map, and the largest file that it may write.
_MEMORY: Final = 1024**3
_FILE: Final = 512 * 1024**2
_WHO: Final = ("hyperhive", "hyperhive@localhost")

#: Stronger than any file. Nothing may be fetched from anywhere, nothing runs beside git.
_CONFIG: Final = {
    "protocol.allow": "never",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "core.attributesFile": os.devnull,
    "core.quotePath": "true",
    "core.fsync": "committed,reference",
    # Blobs above it are streamed, never held in memory.
    "core.bigFileThreshold": "32m",
    "core.packedGitLimit": "256m",
    "core.deltaBaseCacheLimit": "32m",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "transfer.fsckObjects": "true",
    "submodule.recurse": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "init.templateDir": "",
    # The manager's git may be older than ours.
    "init.defaultRefFormat": "files",
    "color.ui": "never",
}


@dataclass(frozen=True)
class Answer:
    """What git said.

    Attributes:
        code: its exit status, negative for a signal.
        out: what it printed, at most as many bytes as were asked for.
        err: the last of what it said about errors.
        cut: whether there was more than `out`; git was ended then, and `code` means nothing.
    """

    code: int
    out: bytes
    err: str
    cut: bool = False

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked."""
        return self.code == 0 or self.cut

    @property
    def text(self) -> str:
        """What it printed, without the line's end."""
        return self.out.decode("utf-8", "backslashreplace").strip()

    @property
    def why(self) -> str:
        """The last line of what it said about errors, or how it ended."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else f"git ended with {self.code}"


def environment(more: Mapping[str, str] | None = None, config: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment of a run: nothing of the daemon's own but where programs are."""
    name, mail = _WHO
    settings = {**_CONFIG, **(config or {})}
    fixed = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "XDG_CONFIG_HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ATTR_SOURCE": EMPTY_TREE,
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "GIT_EDITOR": "false",
        "GIT_PAGER": "cat",
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": mail,
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        fixed[f"GIT_CONFIG_KEY_{number}"] = key
        fixed[f"GIT_CONFIG_VALUE_{number}"] = value
    return {**fixed, **(more or {})}


def program() -> str:
    """The git program: the one that `HYPERHIVE_GIT` names, or else the first on the PATH.

    Raises:
        HiveError: `runtime_unavailable`: there is none.
    """
    found = os.environ.get("HYPERHIVE_GIT") or shutil.which("git")
    if found:
        return found
    what = "there is no git on this machine, and changes of agents' configuration are git commits"
    raise HiveError("runtime_unavailable", what, "Install git, or name the program in HYPERHIVE_GIT")


async def git(  # noqa: PLR0913 - all but the first by name
    repository: Path,
    *arguments: str,
    given: bytes | int | None = None,
    most: int = _ANSWER,
    seconds: float = _SECONDS,
    variables: Mapping[str, str] | None = None,
    config: Mapping[str, str] | None = None,
    check: bool = True,
) -> Answer:
    """Run git on a bare repository of the hive, to its end.

    Args:
        repository: the bare repository; never one that somebody else can write to.
        arguments: the command and its arguments.
        given: what it reads: bytes, or an open file from where that stands.
        most: bytes of its answer that are wanted; with more, it is ended.
        seconds: how long it may take.
        variables: more environment.
        config: more settings of git.
        check: whether a failure is an error.

    Raises:
        HiveError: `operation_failed` with git's words, or, with `late` in its data, because it took too long;
            `runtime_unavailable` without git.
    """
    process = await _start(repository, arguments, given, environment(variables, config))
    talk = asyncio.create_task(_talk(process, given if isinstance(given, bytes) else None, most))
    try:
        async with asyncio.timeout(seconds):
            answer = await asyncio.shield(talk)
    except TimeoutError:
        what = f"git {arguments[0]} did not end within {seconds:g} s"
        hint = "Ask for less at a time: fewer and smaller files"
        raise HiveError("operation_failed", what, hint, late=True) from None
    finally:
        _end(process)
        # It reads on to the end: with more output than asyncio buffers, that of the process would never be seen.
        await asyncio.shield(asyncio.wait({talk}, timeout=_LAST_WORDS))
        talk.cancel()
    if check and not answer.ok:
        raise HiveError("operation_failed", f"git {arguments[0]} failed: {answer.why}", "See the daemon's log")
    return answer


async def _start(
    repository: Path, arguments: tuple[str, ...], given: bytes | int | None, around: Mapping[str, str]
) -> asyncio.subprocess.Process:
    stdin = asyncio.subprocess.PIPE if isinstance(given, bytes) else asyncio.subprocess.DEVNULL
    try:
        process = await start_program(
            program(),
            # Named, never looked for: a repository that is found on the way is one that somebody may have left there.
            f"--git-dir={repository}",
            "--no-pager",
            *arguments,
            stdin=given if isinstance(given, int) else stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            env=around,
            start_new_session=True,
        )
    except OSError as error:
        what = f"git cannot be run: {error.strerror}"
        raise HiveError("runtime_unavailable", what, "Install git, or name the program in HYPERHIVE_GIT") from error
    with suppress(ProcessLookupError):
        resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_FILE, _FILE))
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    return process


async def _talk(process: asyncio.subprocess.Process, given: bytes | None, most: int) -> Answer:
    """Feed and read until it ends, or until it has said more than anybody wants."""
    words = asyncio.create_task(_last(process.stderr))
    feeding = asyncio.create_task(_feed(process.stdin, given))
    try:
        out, cut = await _first(process, most)
        code = await process.wait()
        await asyncio.wait({words}, timeout=_LAST_WORDS)
        return Answer(code, out, words.result() if words.done() else "", cut)
    finally:
        for task in (words, feeding):
            task.cancel()


async def _feed(stream: asyncio.StreamWriter | None, given: bytes | None) -> None:
    if stream is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(given or b"")
        await stream.drain()
    stream.close()


async def _first(process: asyncio.subprocess.Process, most: int) -> tuple[bytes, bool]:
    """What it prints, at most `most` bytes, and whether there was more; it is ended then."""
    read, cut = bytearray(), False
    while process.stdout is not None and (chunk := await process.stdout.read(_CHUNK)):
        read += chunk[: most - len(read) + 1]
        if len(read) > most and not cut:
            cut = True
            _end(process)
    return bytes(read[:most]), cut


async def _last(stream: asyncio.StreamReader | None) -> str:
    kept = b""
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        kept = (kept + chunk)[-_WORDS:]
    return kept.decode("utf-8", "backslashreplace")


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
