"""What waits and what is held: pure, so hypothesis may do with it what it likes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from hyperhive.hive.inbox import Entry, Inbox

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _entry(number: int, sender: str = "alice", due: float | None = None) -> Entry:
    not_before = None if due is None else _NOW + timedelta(seconds=due)
    return Entry(number, sender, "bob", _NOW, not_before=not_before)


def _inbox(*entries: Entry) -> Inbox:
    inbox = Inbox()
    for entry in entries:
        inbox.add(entry)
    return inbox


def _ids(entries: list[Entry]) -> list[int]:
    return [entry.id for entry in entries]


def test_the_oldest_goes_first_and_is_held() -> None:
    inbox = _inbox(_entry(1), _entry(2), _entry(3))
    taken = inbox.take(2, _NOW, "one")
    assert _ids(taken) == [1, 2]
    assert [(entry.deliveries, entry.holder) for entry in taken] == [(1, "one"), (1, "one")]
    assert (list(inbox.waiting), list(inbox.held), len(inbox)) == ([3], [1, 2], 3)


def test_put_back_is_in_the_old_place() -> None:
    inbox = _inbox(*(_entry(number) for number in range(1, 5)))
    taken = inbox.take(3, _NOW, "one")
    inbox.put_back([taken[1], taken[0]])
    assert list(inbox.waiting) == [1, 2, 4]
    assert taken[0].holder is None


def test_what_is_not_held_is_not_put_back() -> None:
    inbox = _inbox(_entry(1))
    taken = inbox.take(1, _NOW, None)
    inbox.forget(1)
    inbox.put_back(taken)
    assert len(inbox) == 0


def test_behind_a_back_off_only_its_sender_waits() -> None:
    inbox = _inbox(_entry(1, "alice", due=5), _entry(2, "alice"), _entry(3, "carol"), _entry(4, "alice"))
    assert inbox.next_due(_NOW) == _NOW + timedelta(seconds=5)
    assert _ids(inbox.take(9, _NOW, None)) == [3]
    assert _ids(inbox.take(9, _NOW + timedelta(seconds=5), None)) == [1, 2, 4]
    assert inbox.next_due(_NOW) is None


def test_behind_an_outcome_on_its_way_its_sender_waits() -> None:
    inbox = _inbox(_entry(1), _entry(2), _entry(3, "carol"))
    inbox.take(1, _NOW, None)[0].closing = True
    assert _ids(inbox.take(9, _NOW, None)) == [3]


def test_only_what_was_read_at_the_start_can_be_claimed_and_only_once() -> None:
    early, late, backing = _entry(1), _entry(2), _entry(3, due=5)
    early.unclaimed = backing.unclaimed = True
    inbox = _inbox(early, late, backing)
    assert inbox.claim(1, _NOW, "one") is early
    assert [inbox.claim(number, _NOW, "one") for number in (1, 2, 3, 4)] == [None] * 4
    assert (list(inbox.held), early.holder) == ([1], "one")
    inbox.put_back([early])
    assert inbox.claim(1, _NOW, "one") is None


def test_what_was_handed_out_after_its_back_off_can_be_claimed() -> None:
    entry = _entry(1, due=-1)
    entry.unclaimed = True
    assert _inbox(entry).claim(1, _NOW, None) is entry


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abc")),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("back"), st.integers(0, 30)),
        st.tuples(st.just("fail"), st.integers(0, 30)),
        st.tuples(st.just("forget"), st.integers(0, 30)),
        st.tuples(st.just("pass"), st.integers(1, 9)),
    ),
    max_size=60,
)


@given(_steps)
@settings(max_examples=200, deadline=None)
def test_every_message_is_in_one_place_and_each_sender_is_in_order(steps: list[tuple[str, int | str]]) -> None:
    inbox, now, added = Inbox(), _NOW, 0
    alive: dict[int, Entry] = {}
    for what, value in steps:
        if what == "add":
            added += 1
            alive[added] = entry = Entry(added, str(value), "bob", now)
            inbox.add(entry)
        elif what == "take":
            before = dict(inbox.waiting)
            taken = inbox.take(int(value), now, None)
            assert len(taken) <= int(value)
            for entry in taken:
                assert entry.not_before is None or entry.not_before <= now
                earlier = [e for e in before.values() if e.sender == entry.sender and e.id < entry.id]
                assert all(e.id not in inbox.waiting for e in earlier), "overtaken"
        elif what == "pass":
            now += timedelta(seconds=int(value))
        elif (held := list(inbox.held.values())) and (chosen := held[int(value) % len(held)]):
            if what == "forget":
                inbox.forget(chosen.id)
                del alive[chosen.id]
            else:
                chosen.not_before = now + timedelta(seconds=5) if what == "fail" else chosen.not_before
                inbox.put_back([chosen])
        assert not inbox.waiting.keys() & inbox.held.keys()
        assert inbox.waiting.keys() | inbox.held.keys() == alive.keys()
        assert list(inbox.waiting) == sorted(inbox.waiting)
        assert len(inbox) == len(alive)
