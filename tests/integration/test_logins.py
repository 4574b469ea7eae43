"""The life of an agent's login, as the operator and the manager see it; and an endpoint that does not answer."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from broker_bed import FakeClock
from lifecycle_bed import life, moved_time

from hyperhive.hive.outages import AFTER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AGENTS: dict[str, Any] = {"alice": {}, "bob": {}}


CLOCK = FakeClock()


@pytest.fixture(autouse=True)
def _time() -> Iterator[None]:
    with moved_time(CLOCK):
        yield


def _in(**much: float) -> str:
    return (CLOCK() + timedelta(**much)).isoformat(timespec="milliseconds")


# --- needs a login


async def test_an_agent_without_a_login_waits_for_one_and_goes_on_by_itself(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice = await hive.up("alice")
        await alice.report("needs_login", problem="Claude is not logged in")
        number = await hive.send("alice")
        row = await hive.row("alice")
        assert (row["state"], row["problem"], row["unread"]) == ("needs_login", "Claude is not logged in", 1)
        (item,) = await hive.waiting("needs_login")
        assert (item["id"], item["agent"]) == ("needs_login-alice", "alice")
        await alice.report("idle", problem=None)
        assert await hive.waiting("needs_login") == []
        assert [d["id"] for d in await alice.recv()] == [number]


async def test_a_login_that_is_refused_in_a_turn_keeps_its_message(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice = await hive.up("alice")
        number = await hive.send("alice")
        for _ in range(6):
            await alice.recv()
            await alice.report("thinking")
            await alice.ask("/v1/outcome", {"ids": [number], "outcome": "returned", "reason": "401"})
            await alice.report("needs_login", problem="The login was refused")
        assert await hive.waiting("dead_letter") == []
        assert len(await hive.waiting("needs_login")) == 1
        await alice.report("idle", problem=None)
        (again,) = await alice.recv()
        assert (again["id"], again["redelivered"]) == (number, True)


async def test_a_login_is_the_agents_own_and_goes_with_a_purge_alone(place: Path) -> None:
    def login(name: str) -> Path:
        return place / "state" / "agents" / name / "claude" / ".credentials.json"

    async with life(place, AGENTS) as hive:
        await hive.up("alice")
        await hive.up("bob")
        login("alice").write_text("alice's")
        assert not login("bob").exists()
        for action in ("restart", "rebuild", "destroy"):
            await hive.do("alice", action)
            assert login("alice").read_text() == "alice's", action
        await hive.revive("alice")
        assert login("alice").read_text() == "alice's"
        await hive.do("alice", "destroy")
        await hive.purge("alice")
        await hive.operator.ask("POST", "/api/reconcile")
        await hive.up("alice", "new")
        assert not login("alice").exists()


# --- a login that ends


@pytest.mark.parametrize(
    ("left", "shown"),
    [(timedelta(days=3, minutes=5), None), (timedelta(days=2), "ends soon"), (timedelta(hours=-1), "has ended")],
)
async def test_a_login_is_shown_three_days_before_it_ends(place: Path, left: timedelta, shown: str | None) -> None:
    async with life(place, AGENTS) as hive:
        alice = await hive.up("alice")
        end = _in(seconds=left.total_seconds())
        await alice.report("idle", loginExpiresAt=end)
        assert datetime.fromisoformat((await hive.row("alice"))["loginExpiresAt"]) == datetime.fromisoformat(end)
        items = await hive.waiting("login_expiry")
        if shown is None:
            assert items == []
            return
        (item,) = items
        assert (item["id"], item["agent"]) == ("login_expiry-alice", "alice")
        assert item["title"] == f"the login of alice {shown}: sign it in again"
        assert datetime.fromisoformat(item["deadline"]) == datetime.fromisoformat(end)
        # Signed in again, by a login that ends later, or by a credential of which nothing is known.
        await alice.report("idle", loginExpiresAt=_in(days=30) if shown == "ends soon" else None)
        assert await hive.waiting("login_expiry") == []


async def test_it_begins_to_be_shown_while_nobody_says_anything(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice = await hive.up("alice")
        await alice.report("idle", loginExpiresAt=_in(days=3, seconds=1))
        assert await hive.waiting("login_expiry") == []
        CLOCK.advance(1)
        await hive.watch.until(lambda c: c["type"] == "waiting" and "login_expiry-alice" in json.dumps(c))
        assert len(await hive.waiting("login_expiry")) == 1


async def test_one_that_needs_a_login_or_is_no_more_has_no_end_of_one(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice = await hive.up("alice")
        await alice.report("needs_login", loginExpiresAt=_in(hours=-1))
        assert await hive.waiting("login_expiry") == []
        assert len(await hive.waiting("needs_login")) == 1
        await alice.report("idle")
        assert len(await hive.waiting("login_expiry")) == 1
        await hive.do("alice", "destroy")
        assert await hive.waiting("login_expiry") == []


# --- an endpoint that does not answer


async def test_an_endpoint_that_does_not_answer_for_long_waits_for_the_operator(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob = await hive.up("alice"), await hive.up("bob")
        about = {"limitScope": "endpoint", "until": _in(hours=1)}
        await alice.report("rate_limited", problem="Connection refused", since=_in(), **about)
        assert await hive.waiting("outage") == []
        CLOCK.advance(AFTER.total_seconds())
        await hive.watch.until(lambda c: c["type"] == "waiting" and "outage-*" in json.dumps(c))
        (item,) = await hive.waiting("outage")
        assert item["title"] == "the model does not answer alice, who tries again by itself: Connection refused"
        assert item["agent"] is None
        # A try that fails again is the same trouble.
        await alice.report("thinking", limitScope=None, until=None, problem=None)
        assert await hive.waiting("outage") == [item]
        await bob.report("rate_limited", problem="Bad gateway", since=_in(minutes=-11), **about)
        (both,) = await hive.waiting("outage")
        assert "bob and 1 more" in both["title"]
        for harness in (alice, bob):
            last = {"endedAt": _in(), "ok": True, "durationMs": 5}
            await harness.report("idle", limitScope=None, until=None, problem=None, lastTurn=last)
        assert await hive.waiting("outage") == []


async def test_trouble_that_is_over_soon_is_nobodys_business(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice = await hive.up("alice")
        await alice.report("rate_limited", limitScope="endpoint", until=_in(seconds=60), since=_in(minutes=-9))
        assert await hive.waiting("outage") == []
        await hive.do("alice", "stop")
        assert await hive.waiting("outage") == []


# --- questions of agents that are no more


async def test_who_asked_an_agent_that_is_destroyed_is_told_and_what_it_asked_itself_stays_open(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice, bob = await hive.up("alice"), await hive.up("bob")
        asked = (await alice.ask("/v1/questions", {"to": "bob", "text": "What now?"}))["id"]
        own = (await bob.ask("/v1/questions", {"text": "May I?"}))["id"]
        assert [item["ref"] for item in await hive.waiting("question")] == [own]
        await hive.do("bob", "destroy")
        (word,) = await alice.recv()
        assert word["from"] == "system"
        assert f"question {asked} to bob was cancelled because 'bob' was destroyed" in word["body"]
        assert await hive.waiting("question") == []
        found = (await hive.operator.ask("GET", "/api/questions?status=open"))["questions"]
        assert [row["id"] for row in found] == [own]
        await hive.revive("bob")
        assert [item["ref"] for item in await hive.waiting("question")] == [own]
        await hive.operator.ask("POST", f"/api/questions/{own}/answer", {"text": "yes"})
        bob = await hive.up("bob", "again")
        bodies = [d["body"] for d in await bob.recv()]
        assert any("was answered by operator" in body for body in bodies)


async def test_the_same_for_one_that_left_the_settings_also_while_the_hive_was_down(place: Path) -> None:
    async with life(place, AGENTS) as hive:
        alice = await hive.up("alice")
        await alice.ask("/v1/questions", {"to": "bob", "text": "What now?"})
    async with life(place, {"alice": {}}) as hive:
        alice = await hive.up("alice")
        assert "because 'bob' was destroyed" in (await alice.recv())[0]["body"]


# --- allow-lists, enforced by the hive


async def test_an_allow_list_is_also_for_questions_broadcasts_and_replies(place: Path) -> None:
    agents = {"alice": {}, "bob": {}, "carol": {"allowedRecipients": ["alice"]}}
    async with life(place, agents) as hive:
        alice, bob, carol = await hive.up("alice"), await hive.up("bob"), await hive.up("carol")
        for path, body in (
            ("/v1/messages", {"to": "bob", "body": "hi"}),
            ("/v1/messages", {"to": "bob", "body": "hi", "inReplyTo": 1}),
            ("/v1/questions", {"to": "bob", "text": "hm?"}),
        ):
            with pytest.raises(Exception, match="may not write to 'bob'"):
                await carol.ask(path, body)
        assert (await carol.ask("/v1/messages", {"to": "*", "body": "all"}))["recipients"] == ["alice"]
        assert (await carol.ask("/v1/questions", {"to": "operator", "text": "hm?"}))["status"] == "open"
        # Whoever may ask it is answered, on the list or not: it was asked, and writes to nobody of its own choice.
        number = (await bob.ask("/v1/questions", {"to": "carol", "text": "yes?"}))["id"]
        await carol.ask(f"/v1/questions/{number}/answer", {"text": "yes"})
        with pytest.raises(Exception, match="was not asked"):
            await alice.ask(f"/v1/questions/{number}/answer", {"text": "no"})
        assert any("was answered by carol" in d["body"] for d in await bob.recv())
