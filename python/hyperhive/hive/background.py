"""Tasks that a callback begins in a group which may be ending: by then nobody wants to know what they would find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

T = TypeVar("T")


def begin(group: asyncio.TaskGroup, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T] | None:
    """Begin `work` as a task of the group; None, and nothing is begun, where the group takes no more."""
    try:
        return group.create_task(work, name=name)
    except RuntimeError:
        # It was cancelled, or one of its tasks failed, and timers and commits go on until their owners are closed.
        work.close()
        return None
