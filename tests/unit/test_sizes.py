"""What an agent's directories take: counted when asked, a few at a time, and not again for ten minutes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyperhive.hive.sizes import Sizes

_ROOT = Path("/nowhere")


class Counter:
    """Counts as long as the test likes."""

    def __init__(self) -> None:
        self.asked: list[Path] = []
        self.running = self.most = 0
        self.go = asyncio.Event()
        self.answer: int | None = 7
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    async def __call__(self, root: Path) -> int | None:
        self.asked.append(root)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        return self.answer

    async def under_way(self, number: int) -> None:
        """Wait until so many are counted, and whoever could be beside them."""
        async with asyncio.timeout(60):
            while self.running < number:  # noqa: ASYNC110 - the next steps of this loop
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0)

    def clock(self) -> datetime:
        return self.now


@pytest.fixture
def count() -> Counter:
    return Counter()


async def test_it_is_counted_once_in_ten_minutes(count: Counter) -> None:
    sizes = Sizes(count.clock, count)
    count.go.set()
    assert await asyncio.gather(*(sizes.of("alice", _ROOT) for _ in range(5))) == [7] * 5
    count.answer = 8
    count.now += timedelta(seconds=599)
    assert await sizes.of("alice", _ROOT) == 7
    count.now += timedelta(seconds=1)
    assert await sizes.of("alice", _ROOT) == 8
    assert len(count.asked) == 2


async def test_whoever_does_not_wait_gets_the_count_before(count: Counter) -> None:
    sizes = Sizes(count.clock, count)
    assert await sizes.of("alice", _ROOT, 0) is None
    count.go.set()
    assert await sizes.of("alice", _ROOT) == 7
    count.go.clear()
    count.now += timedelta(hours=1)
    count.answer = 9
    assert await sizes.of("alice", _ROOT, 0) == 7
    assert await sizes.of("alice", _ROOT, 0) == 7
    count.go.set()
    assert await sizes.of("alice", _ROOT) == 9
    assert len(count.asked) == 2, "it went on in the background, once"


async def test_four_at_a_time(count: Counter) -> None:
    sizes = Sizes(count.clock, count)
    waiting = [asyncio.create_task(sizes.of(f"a{number}", _ROOT)) for number in range(20)]
    await count.under_way(4)
    count.go.set()
    await asyncio.gather(*waiting)
    assert (count.most, len(count.asked)) == (4, 20)


async def test_what_cannot_be_counted_is_not_tried_all_the_time(count: Counter) -> None:
    sizes = Sizes(count.clock, count)
    count.answer = None
    count.go.set()
    assert [await sizes.of("alice", _ROOT) for _ in range(3)] == [None] * 3
    assert len(count.asked) == 1


async def test_another_tree_of_the_same_name_is_counted_anew(count: Counter) -> None:
    sizes = Sizes(count.clock, count)
    assert await sizes.of("alice", _ROOT, 0) is None
    sizes.forget("alice")
    count.go.set()
    count.answer = 3
    assert await sizes.of("alice", _ROOT) == 3
    assert count.running == 0


async def test_nothing_is_counted_after_the_end(count: Counter) -> None:
    sizes = Sizes(count.clock, count)
    waiting = asyncio.create_task(sizes.of("alice", _ROOT))
    await count.under_way(1)
    await sizes.close()
    assert await waiting is None
    assert count.running == 0
