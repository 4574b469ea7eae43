"""What agents' harnesses print, read once or followed: from the hive's own log of an agent, or from its container's.

The embedded runtimes write the log in this process and say so (`Runtime.on_output`), so whoever follows it is woken and
nobody has to look again and again. A container keeps its journal itself; there journald tells what is new.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from hyperhive.hive.hive import Hive

#: Bytes read from the end of a log at most.
_MOST: Final = 1024 * 1024
#: Seconds after which a silent journal says that it is still followed.
_BEAT: Final = 20.0


class Journals:
    """The journals of a hive's agents.

    Args:
        hive: knows the runtime and where logs lie.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._grown: dict[str, asyncio.Event] = {}
        self._closed = asyncio.Event()
        hive.runtime.on_output = self._grew

    async def last(self, name: str, lines: int) -> list[str]:
        """The last lines, oldest first; none where nothing was printed yet."""
        said = await self._hive.runtime.journal(name, lines)
        if said is not None:
            return list(said)
        return (await asyncio.to_thread(_Tail(self._hive.layout.log(name)).begin))[-lines:]

    async def follow(self, name: str, lines: int) -> AsyncGenerator[list[str] | None, None]:
        """The last lines, then those that come, until the hive ends or the container does.

        None comes now and then where there is nothing to say, so that a connection stays known to be alive.
        """
        said = self._hive.runtime.follow_journal(name, lines)
        closing = asyncio.create_task(self._closed.wait(), name=f"end of the journal of {name}")
        following: asyncio.Task[list[str] | None] | None = None
        try:
            async with aclosing(self._follow_log(name, lines) if said is None else said) as chunks:
                while not closing.done():
                    following = following or asyncio.create_task(_next(chunks), name=f"journal of {name}")
                    await asyncio.wait({following, closing}, timeout=_BEAT, return_when=asyncio.FIRST_COMPLETED)
                    if not following.done():
                        yield None
                        continue
                    fresh, following = following.result(), None
                    if fresh is None:
                        return
                    yield fresh
        finally:
            left = {task for task in (closing, following) if task is not None}
            for task in left:
                task.cancel()
            await asyncio.wait(left)

    async def _follow_log(self, name: str, lines: int) -> AsyncGenerator[list[str], None]:
        tail = _Tail(self._hive.layout.log(name))
        try:
            # The event first: what is written while the file is read is read with the next turn.
            grown = self._grown.setdefault(name, asyncio.Event())
            yield (await asyncio.to_thread(tail.begin))[-lines:]
            while True:
                await grown.wait()
                grown = self._grown.setdefault(name, asyncio.Event())
                if fresh := await asyncio.to_thread(tail.more):
                    yield fresh
        finally:
            tail.close()

    def _grew(self, name: str) -> None:
        if (grown := self._grown.pop(name, None)) is not None:
            grown.set()

    def close(self) -> None:
        """End whatever is followed."""
        self._closed.set()


async def _next(chunks: AsyncGenerator[list[str], None]) -> list[str] | None:
    return await anext(chunks, None)


class _Tail:
    """Reads a log to its end, and on from there, also where it was moved aside and begun anew. The file is the hive's.

    Args:
        path: the file; it may come later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._rest = b""

    def begin(self) -> list[str]:
        """The lines at the end, at most a mebibyte of them."""
        self._open()
        if self._file is None:
            return []
        size = os.fstat(self._file).st_size
        begins = max(0, size - _MOST)
        os.lseek(self._file, begins, os.SEEK_SET)
        lines = self._read()
        return lines[1:] if begins else lines

    def more(self) -> list[str]:
        """The lines that came since."""
        lines = [] if self._file is None else self._read()
        if self._is_another():
            self.close()
            self._open()
            if self._file is not None:
                lines += self._read()
        return lines

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> None:
        with suppress(FileNotFoundError):
            self._file = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def _is_another(self) -> bool:
        if self._file is None:
            return True
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _read(self) -> list[str]:
        if self._file is None:
            return []
        said = self._rest
        while chunk := os.read(self._file, _MOST):
            said += chunk
        *lines, self._rest = said.split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]
