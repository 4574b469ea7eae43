"""The load, as a process of its own: `python load.py KIND RUNTIME_DIRECTORY JSON`.

The JSON has `names` and the numbers of the kind; what was measured is printed as one line of JSON. `idle` prints a line
once everything is parked and stays until its input ends.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load_agents import BenchAgent, connected, send_request
from raw_client import Line

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-len(ordered) * share // 1) - 1))]


async def delivery(run: Path, *, names: list[str], rounds: int, samples: int) -> list[dict[str, float]]:
    """From the writing of a send to the return of its recipient's parked recv, one message at a time, in ms."""
    agents = await connected(run, names)
    polls = [agent.park_for_commands() for agent in agents]
    for agent in agents:
        agent.park()
    await _deliver(agents, samples // 5)
    taken = [await _deliver(agents, samples) for _ in range(rounds)]
    assert not any(poll.done() for poll in polls)
    return [{"p50": percentile(times, 0.5), "p99": percentile(times, 0.99)} for times in taken]


async def _deliver(agents: list[BenchAgent], samples: int) -> list[float]:
    times = []
    for i in range(samples):
        sender, recipient = agents[i % len(agents)], agents[(i + len(agents) // 2) % len(agents)]
        request = send_request(recipient.name)
        began = time.monotonic()
        answer = sender.line.ask(request)
        deliveries, at = await recipient.received()
        times.append((at - began) * 1000)
        made = (await answer).json(201)
        assert [delivery["id"] for delivery in deliveries] == [made["id"]]
        await recipient.settle()
        recipient.park()
    return times


async def sends(run: Path, *, names: list[str], senders: int, seconds: float, receiving: bool) -> dict[str, float]:
    """Sends that were answered in a second; the recipients are those of `names` that do not send."""
    agents = await connected(run, names)
    sending, others = agents[:senders], agents[senders:]
    takers = [asyncio.create_task(_take(agent)) for agent in others if receiving]
    began = time.monotonic()
    counted = await asyncio.gather(
        *(
            _send(agent, [other.name for other in others[i:] + others[:i]], began + seconds)
            for i, agent in enumerate(sending)
        )
    )
    took = time.monotonic() - began
    for taker in takers:
        taker.cancel()
    times = [one for some in counted for one in some]
    return {"per_second": len(times) / took, "p99_ms": percentile(times, 0.99), "count": len(times)}


async def _send(agent: BenchAgent, to: list[str], until: float) -> list[float]:
    times: list[float] = []
    while time.monotonic() < until:
        began = time.monotonic()
        answer = await agent.line.ask(send_request(to[len(times) % len(to)]))
        answer.json(201)
        times.append((answer.at - began) * 1000)
    return times


async def _take(agent: BenchAgent) -> None:
    while True:
        agent.park(32)
        await agent.received()
        await agent.settle()


async def burst(run: Path, *, names: list[str], messages: int, rounds: int, bursts: int) -> list[float]:
    """All agents send `messages` each at the same instant: p99 from that instant until a message was received, ms."""
    agents = await connected(run, names)
    lines = {agent.name: [await Line.open(_socket(run, agent)) for _ in range(messages)] for agent in agents}
    await _burst(agents, lines)
    result = []
    for _ in range(rounds):
        times = [time for _ in range(bursts) for time in await _burst(agents, lines)]
        result.append(percentile(times, 0.99))
    return result


def _socket(run: Path, agent: BenchAgent) -> Path:
    return run / "agents" / agent.name / "hive.sock"


async def _burst(agents: list[BenchAgent], lines: dict[str, list[Line]]) -> list[float]:
    for agent in agents:
        agent.park(32)
    await asyncio.sleep(0.05)
    requests = [
        (line, send_request(agents[(i + 1 + 7 * k) % len(agents)].name))
        for i, agent in enumerate(agents)
        for k, line in enumerate(lines[agent.name])
    ]
    each = len(requests) // len(agents)
    began = time.monotonic()
    answers = [line.ask(request) for line, request in requests]
    received = await asyncio.gather(*(_receive(agent, each) for agent in agents))
    for answer in answers:
        (await answer).json(201)
    for agent in agents:
        await agent.settle()
    return [(at - began) * 1000 for times in received for at in times]


async def _receive(agent: BenchAgent, count: int) -> list[float]:
    times: list[float] = []
    while len(times) < count:
        deliveries, at = await agent.received()
        times += [at] * len(deliveries)
        if len(times) < count:
            agent.park(32)
    return times


async def idle(run: Path, *, names: list[str], poll: float, staggered: bool = True) -> dict[str, bool]:
    """Agents with nothing to do, until the input ends; their command polls last `poll` seconds."""
    agents = await connected(run, names)
    shares = [(i + 1) / len(agents) if staggered else 1.0 for i in range(len(agents))]
    waiting = [asyncio.create_task(agent.idle(poll, share)) for agent, share in zip(agents, shares, strict=True)]
    await asyncio.sleep(0.3)
    _say({"parked": len(agents)})
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await asyncio.wait([ended, *waiting], return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        if task.done():
            task.result()
        task.cancel()
    return {"ended": True}


def _say(what: Any) -> None:  # noqa: ANN401 - JSON
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run one load."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
    kind = {"delivery": delivery, "sends": sends, "burst": burst, "idle": idle}[sys.argv[1]]
    _say(asyncio.run(kind(Path(sys.argv[2]), **json.loads(sys.argv[3]))))


if __name__ == "__main__":
    main()
