"""What is measured, what is asked of it, and how rounds become a figure."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        group: the benchmark that measures it, the word for `--only`.
        what: for people.
        goal: the bound, None where the figure only explains others.
        at_least: whether the bound is a lower one.
    """

    group: str
    what: str
    unit: str
    goal: float | None = None
    at_least: bool = False

    def met(self, value: float) -> bool | None:
        """Whether the goal is reached."""
        if self.goal is None:
            return None
        return value >= self.goal if self.at_least else value <= self.goal


FIGURES: Final[dict[str, Figure]] = {
    "delivery_p50": Figure("delivery", "send until the parked recv returns, 100 agents, p50", "ms", 2.5),
    "delivery_p99": Figure("delivery", "  the same, p99", "ms", 5),
    "sends": Figure("sends", "durable sends, 50 senders, nobody receives", "/s", 4000, at_least=True),
    "sends_p99": Figure("sends", "  one of them until it is answered, p99", "ms"),
    "sends_cpu": Figure("sends", "  processor time of the daemon for one of them", "µs"),
    "sends_received": Figure("sends", "  sends while 50 others receive and settle each", "/s"),
    "daemon_rss_loaded": Figure("sends", "  daemon RSS after it, all undelivered", "MiB"),
    "burst_p99": Figure("burst", "burst of 30 agents, 5 messages each, p99 from its start until received", "ms", 100),
    "warm_request": Figure("claude", "send until the first request at the model, warm session", "ms", 60),
    "resumed_request": Figure("claude", "  the same, session to be resumed", "ms", 700),
    "harness_rss": Figure("claude", "harness with nothing to do, RSS", "MiB", 78),
    "harness_rss_used": Figure("claude", "  after its turns, session warm", "MiB"),
    "cooled": Figure("claude", "  claude processes left 1 s after keepWarmSeconds", "", 0),
    "wake": Figure("wake", "10 agents woken at once, nothing runs yet: all have asked the model", "s", 6),
    "wake_first": Figure("wake", "  the first of them", "s"),
    "wake_resumed": Figure("wake", "  the same, sessions to be resumed: all", "s", 6),
    "rest_wakeups": Figure("rest", "harness with nothing to do: times its threads wake up", "/s", 0.2),
    "rest_wakeups_login": Figure("rest", "  one that waits for a login, and looks every 10 s", "/s", 1),
    "swarm_wakeups": Figure("swarm", "50 harnesses with nothing to do: wake-ups of the one with the most", "/s", 0.1),
    "swarm_cpu": Figure("swarm", "  processor time of all of them, share of a core", "%"),
    "swarm_daemon_wakeups": Figure("swarm", "  wake-ups of their daemon", "/s"),
    "swarm_rss": Figure("swarm", "  RSS of one of them", "MiB"),
    "daemon_rss": Figure("idle", "daemon with 50 idle agents, RSS", "MiB", 90),
    "idle_cpu": Figure("idle", "  its processor time, share of a core", "%", 0.2),
    "parked_cpu": Figure("idle", "  the same without the polls that follow each other", "%"),
    "idle_wakeups": Figure("idle", "  its wake-ups", "/s"),
    "idle_statements": Figure("idle", "  its database statements", "", 0),
    "scrape": Figure("idle", "  a scrape of /metrics, all agents have used three models", "ms", 20),
    "scrape_p95": Figure("idle", "  the same, p95", "ms"),
    "list": Figure("list", "`hyperhive list` with 100 agents, whole process", "s", 0.6),
    "reconnect": Figure("containers", "daemon restarted: from ready until 20 containers are connected", "s", 2),
    "reconnect_worst": Figure("containers", "  the same, the worst restart", "s", 2),
    "reconnect_away": Figure("containers", "  the same after 10 s without a daemon", "s"),
    "containers_restart": Figure("containers", "  from the command until ready", "s"),
    "containers_changed": Figure("containers", "  containers that are not the same afterwards", "", 0),
    "containers_boot": Figure("containers", "  all of them booted from nothing", "s"),
    "usable": Figure("pages", "dashboard with 50 agents: from navigation until usable", "s", 1),
    "badge_p95": Figure("pages", "a state is reported until its badge is shown, 10 viewers, p95", "ms", 300),
    "badge": Figure("pages", "  the same, median", "ms"),
    "row_p95": Figure("pages", "an event is reported until its row is shown, 10 viewers, p95", "ms", 100),
    "row": Figure("pages", "  the same, median", "ms"),
    "storm_frames": Figure("pages", "30 agents, 10 events/s each, 60 s: frames in the middle", "/s", 30, at_least=True),
    "storm_heap": Figure("pages", "  heap of the page after 20 s", "MiB"),
    "storm_heap_after": Figure("pages", "  and after 60 s", "MiB"),
    "pin": Figure("repositories", "an ordinary proposal: checked and pinned", "ms"),
    "diff": Figure("repositories", "  compared with what runs", "ms"),
    "bundle": Figure("repositories", "  bundled, by the manager's harness", "ms"),
    "export": Figure("repositories", "  written out for the builder", "ms"),
    "pin_largest": Figure("repositories", "the largest proposal: checked and pinned", "ms"),
    "repository": Figure("repositories", "an agent's repository made", "ms"),
    "one_more_agent": Figure("evaluation", "one more agent without a config: work of Nix, of one agent's", "%", 0.3),
    "fifty_agents": Figure("evaluation", "  50 agents, relative to one", "x", 1.2),
    "one_agent_work": Figure("evaluation", "  function calls and thunks of a host with one", "million"),
}
GROUPS: Final = tuple(dict.fromkeys(figure.group for figure in FIGURES.values()))


@dataclass
class Results:
    """What was measured, by figure; by group: why it failed or cannot run here, and how many cores others used."""

    rounds: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, values: Sequence[float]) -> None:
        """Add rounds of a figure."""
        self.rounds.setdefault(name, []).extend(values)

    def as_json(self) -> dict[str, Any]:
        """All figures: the median of the rounds, their extremes, and the rounds."""
        made = {}
        for name, figure in FIGURES.items():
            if not (rounds := self.rounds.get(name)):
                continue
            value = median(rounds)
            made[name] = {
                "what": figure.what.strip(),
                "unit": figure.unit,
                "goal": figure.goal,
                "atLeast": figure.at_least,
                "median": round(value, 3),
                "min": round(min(rounds), 3),
                "max": round(max(rounds), 3),
                "rounds": [round(one, 3) for one in rounds],
                "met": figure.met(value),
            }
        trouble = {"failed": self.failed, "notRun": self.not_run}
        return {"figures": made, **trouble, "othersUsedCores": self.others, "notes": self.notes}


def table(report: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"{'':66}{'median':>9}  {'min … max':<19} goal"]
    for name, row in report["figures"].items():
        goal = "" if row["goal"] is None else f"{'≥' if row['atLeast'] else '≤'} {row['goal']:g} {row['unit']}"
        verdict = {True: "", False: "  MISSED", None: ""}[row["met"]]
        spread = f"{row['min']:g} … {row['max']:g} {row['unit']}"
        lines.append(f"{FIGURES[name].what:66}{row['median']:>9g}  {spread:<19} {goal}{verdict}")
    lines += [f"{group}: could not be measured: {why}" for group, why in report["failed"].items()]
    lines += [f"{group}: not run: {why}" for group, why in report["notRun"].items()]
    return "\n".join(lines)
