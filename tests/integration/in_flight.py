"""What the hives of this process have given to other threads: statements for the store, and work on files.

A hive is one loop, so that whoever has had answers from it knows that it has done what it was about to do; but not what
it waits for from a thread, which takes as long as the disk and the machine take.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

_pending: set[asyncio.Future[Any]] = set()


def in_flight() -> set[asyncio.Future[Any]]:
    """What this loop waits for."""
    loop = asyncio.get_running_loop()
    return {future for future in _pending if future.get_loop() is loop and not future.done()}


def _kept(future: asyncio.Future[Any]) -> asyncio.Future[Any]:
    _pending.add(future)
    future.add_done_callback(_pending.discard)
    return future


def _counted(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def counted(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - passed on
        mark = _kept(asyncio.get_running_loop().create_future())
        try:
            return await work(*arguments, **more)
        finally:
            mark.cancel()

    return counted


@contextmanager
def counting() -> Iterator[None]:
    """Know, in the block, what is in flight."""
    submit = Store.submit

    def submit_counted(*arguments: Any) -> asyncio.Future[Any]:  # noqa: ANN401 - passed on
        return _kept(submit(*arguments))

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Store, "submit", submit_counted))
        stack.enter_context(mock.patch.object(Store, "read", _counted(Store.read)))
        stack.enter_context(mock.patch.object(asyncio, "to_thread", _counted(asyncio.to_thread)))
        yield
