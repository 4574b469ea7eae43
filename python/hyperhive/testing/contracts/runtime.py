"""What every runtime does: numbered behaviours, each run on the fake one and on the real ones.

A test makes a `Subject` and runs each of `CONTRACTS` on it. The subject's runtime starts a program that goes on until
the subject's `crash` makes it end.
"""

# ruff: noqa: S101, PT017 - contracts assert, and the package does without pytest

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.base import Repositories

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hyperhive.runtime.base import AgentPlan, Exit, Runtime

    Contract = Callable[["Subject"], Awaitable[None]]

_SECONDS: Final = 60


@dataclass
class Subject:
    """A runtime under test.

    Attributes:
        runtime: the runtime; its `on_exit` is taken over.
        plan: makes the plan of an agent, the same each time.
        crash: makes the running harness of an agent end with an exit code.
        exits: what was reported so far.
    """

    runtime: Runtime
    plan: Callable[[str], AgentPlan]
    crash: Callable[[str, int], Awaitable[None]]
    exits: list[Exit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news: asyncio.Queue[Exit] = asyncio.Queue()
        self.runtime.on_exit = self._record

    def _record(self, end: Exit) -> None:
        self.exits.append(end)
        self._news.put_nowait(end)

    async def next_exit(self) -> Exit:
        """The next report that was not waited for yet."""
        return await asyncio.wait_for(self._news.get(), _SECONDS)


async def r1_prepare_makes_the_directories(subject: Subject) -> None:
    """R1. After prepare every directory of the plan is there; again changes nothing."""
    plan = subject.plan("alice")
    await subject.runtime.prepare(plan)
    (plan.shared / "kept").write_text("kept")
    await subject.runtime.prepare(plan)
    assert all(path.is_dir() for path in (plan.claude, plan.state, plan.shared, plan.socket_dir))
    assert (plan.shared / "kept").read_text() == "kept"


async def r2_start_runs_and_again_is_nothing(subject: Subject) -> None:
    """R2. A started agent runs, and a second start leaves it alone."""
    plan = subject.plan("alice")
    await subject.runtime.start(plan)
    await subject.runtime.start(plan)
    assert subject.runtime.running() == {"alice"}
    await subject.runtime.stop("alice")
    assert [end.name for end in subject.exits] == ["alice"]


async def r3_stop_is_expected_and_reported_once(subject: Subject) -> None:
    """R3. A stop is reported once, as expected, before it returns; stopping what does not run is nothing."""
    await subject.runtime.stop("alice")
    await subject.runtime.start(subject.plan("alice"))
    await subject.runtime.stop("alice")
    await subject.runtime.stop("alice")
    assert subject.runtime.running() == frozenset()
    assert [(end.name, end.expected) for end in subject.exits] == [("alice", True)]


async def r4_a_crash_is_reported_with_its_code(subject: Subject) -> None:
    """R4. A harness that ends by itself is reported unexpected, with its exit code, and runs no more."""
    await subject.runtime.start(subject.plan("alice"))
    await subject.crash("alice", 3)
    end = await subject.next_exit()
    assert (end.name, end.code, end.expected) == ("alice", 3, False)
    assert subject.runtime.running() == frozenset()


async def r5_after_a_crash_it_starts_again(subject: Subject) -> None:
    """R5. What crashed can be started again, and each run has a report of its own."""
    for code in (1, 2):
        await subject.runtime.start(subject.plan("alice"))
        await subject.crash("alice", code)
        assert (await subject.next_exit()).code == code
    await subject.runtime.start(subject.plan("alice"))
    assert subject.runtime.running() == {"alice"}


async def r6_agents_do_not_affect_each_other(subject: Subject) -> None:
    """R6. The end of one agent leaves another one alone."""
    for name in ("alice", "bob"):
        await subject.runtime.start(subject.plan(name))
    await subject.crash("alice", 4)
    await subject.next_exit()
    assert subject.runtime.running() == {"bob"}


async def r7_concurrent_calls_for_one_name_are_safe(subject: Subject) -> None:
    """R7. However starts and stops of one agent meet, every run that ended has one report, and the last stop wins."""
    plan = subject.plan("alice")
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(subject.runtime.start(plan))
            group.create_task(subject.runtime.stop("alice"))
    await subject.runtime.stop("alice")
    assert subject.runtime.running() == frozenset()
    assert 1 <= len(subject.exits) <= 3  # noqa: PLR2004
    assert all(end.expected for end in subject.exits)


async def r8_a_missing_secret_is_named(subject: Subject) -> None:
    """R8. A secret whose file is not there keeps the agent from starting, and the error names variable and path."""
    plan = subject.plan("alice")
    missing = plan.shared / "missing"
    broken = replace(plan, credentials={"ANTHROPIC_API_KEY": missing})
    try:
        await subject.runtime.start(broken)
    except HiveError as error:
        assert error.code == "bad_config"
        assert "ANTHROPIC_API_KEY" in error.message
        assert str(missing) in error.message
    else:
        msg = "started without its secret"
        raise AssertionError(msg)
    assert subject.runtime.running() == frozenset()
    assert subject.exits == []


async def r9_close_ends_all(subject: Subject) -> None:
    """R9. After close nothing runs, every end was expected, nothing can be started, and a second close is nothing."""
    for name in ("alice", "bob"):
        await subject.runtime.start(subject.plan(name))
    await subject.runtime.close()
    await subject.runtime.close()
    assert subject.runtime.running() == frozenset()
    assert sorted((end.name, end.expected) for end in subject.exits) == [("alice", True), ("bob", True)]
    try:
        await subject.runtime.start(subject.plan("alice"))
    except HiveError as error:
        assert error.code == "shutting_down"
    else:
        msg = "started after close"
        raise AssertionError(msg)


async def r10_owner_is_a_function_of_the_name(subject: Subject) -> None:
    """R10. The owner of an agent is the same whenever one asks, before anything was made."""
    assert subject.runtime.owner("alice") == subject.runtime.owner("alice")
    assert subject.runtime.warnings


def _with_secret(plan: AgentPlan) -> AgentPlan:
    plan.shared.mkdir(parents=True, exist_ok=True)
    secret = plan.shared / "secret"
    secret.write_text("made up")
    return replace(plan, credentials={"ANTHROPIC_API_KEY": secret})


async def r11_the_same_plan_changes_nothing(subject: Subject) -> None:
    """R11. Deploying the plan that an agent runs on does nothing to it."""
    plan = subject.plan("alice")
    await subject.runtime.start(plan)
    assert subject.runtime.change(plan) == "none"
    assert await subject.runtime.deploy(plan) == "none"
    assert subject.runtime.running() == {"alice"}
    assert subject.exits == []


async def r12_another_secret_is_a_restart(subject: Subject) -> None:
    """R12. Another secret takes a restart: asked for it is none yet, deployed it is one, whose end was expected."""
    plan = subject.plan("alice")
    await subject.runtime.start(plan)
    other = _with_secret(plan)
    assert subject.runtime.change(other) == "restart"
    assert subject.exits == []
    assert await subject.runtime.deploy(other) == "restart"
    assert subject.runtime.running() == {"alice"}
    assert [(end.name, end.expected) for end in subject.exits] == [("alice", True)]
    assert subject.runtime.change(other) == "none"


async def r13_a_deploy_that_cannot_be_leaves_it_running(subject: Subject) -> None:
    """R13. A deploy with a secret that is not there is refused by name, and the agent runs on as it was."""
    plan = subject.plan("alice")
    await subject.runtime.start(plan)
    missing = plan.shared / "missing"
    try:
        await subject.runtime.deploy(replace(plan, credentials={"ANTHROPIC_API_KEY": missing}))
    except HiveError as error:
        assert error.code == "bad_config"
        assert str(missing) in error.message
    else:
        msg = "deployed without its secret"
        raise AssertionError(msg)
    assert subject.runtime.running() == {"alice"}
    assert subject.exits == []
    assert subject.runtime.change(plan) == "none"


async def r14_deploying_starts_nothing(subject: Subject) -> None:
    """R14. Deploying to an agent that does not run does not start it; the plan is used by the next start."""
    plan = subject.plan("alice")
    await subject.runtime.start(plan)
    await subject.runtime.stop("alice")
    await subject.runtime.deploy(_with_secret(plan))
    assert subject.runtime.running() == frozenset()
    await subject.runtime.start(_with_secret(plan))
    assert subject.runtime.change(_with_secret(plan)) == "none"


async def r15_destroy_keeps_what_the_agent_knows(subject: Subject) -> None:
    """R15. What was started exists; destroyed it neither runs nor exists, and its directories are as they were."""
    plan = subject.plan("alice")
    assert not subject.runtime.exists("alice")
    await subject.runtime.start(plan)
    assert subject.runtime.exists("alice")
    (plan.claude / "login").write_text("kept")
    (plan.state / "notes.md").write_text("kept")
    await subject.runtime.destroy("alice")
    assert (subject.runtime.running(), subject.runtime.exists("alice")) == (frozenset(), False)
    assert (plan.claude / "login").read_text() == (plan.state / "notes.md").read_text() == "kept"
    assert [(end.name, end.expected) for end in subject.exits] == [("alice", True)]
    await subject.runtime.start(plan)
    assert subject.runtime.running() == {"alice"}


async def r16_destroying_nothing_is_nothing(subject: Subject) -> None:
    """R16. What does not run, or never did, is destroyed without a word, and nobody else is touched."""
    await subject.runtime.destroy("alice")
    for name in ("alice", "bob"):
        await subject.runtime.start(subject.plan(name))
    await subject.runtime.stop("alice")
    await subject.runtime.destroy("alice")
    await subject.runtime.destroy("alice")
    assert not subject.runtime.exists("alice")
    assert subject.runtime.running() == {"bob"}
    assert subject.runtime.exists("bob")


async def r17_a_look_is_what_runs(subject: Subject) -> None:
    """R17. A look tells what runs, and disturbs nothing."""
    await subject.runtime.start(subject.plan("alice"))
    assert await subject.runtime.look() == subject.runtime.running() == {"alice"}
    assert subject.exits == []


async def r18_a_new_agent_restarts_no_manager(subject: Subject) -> None:
    """R18. The manager runs with its two directories, and goes on where there is one agent more in them."""
    plan = subject.plan("manager")
    root = plan.shared.parent
    places = Repositories(root / "proposed", root / "applied")
    for place in (places.proposed, places.applied):
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)
    managing = replace(plan, repositories=places)
    await subject.runtime.start(managing)
    (places.proposed / "bob").mkdir()
    (places.applied / "bob.git").mkdir()
    assert subject.runtime.change(managing) == "none"
    assert await subject.runtime.deploy(managing) == "none"
    assert subject.runtime.running() == {"manager"}
    assert subject.exits == []


#: All of them, in order.
CONTRACTS: Final[tuple[Contract, ...]] = (
    r1_prepare_makes_the_directories,
    r2_start_runs_and_again_is_nothing,
    r3_stop_is_expected_and_reported_once,
    r4_a_crash_is_reported_with_its_code,
    r5_after_a_crash_it_starts_again,
    r6_agents_do_not_affect_each_other,
    r7_concurrent_calls_for_one_name_are_safe,
    r8_a_missing_secret_is_named,
    r9_close_ends_all,
    r10_owner_is_a_function_of_the_name,
    r11_the_same_plan_changes_nothing,
    r12_another_secret_is_a_restart,
    r13_a_deploy_that_cannot_be_leaves_it_running,
    r14_deploying_starts_nothing,
    r15_destroy_keeps_what_the_agent_knows,
    r16_destroying_nothing_is_nothing,
    r17_a_look_is_what_runs,
    r18_a_new_agent_restarts_no_manager,
)
