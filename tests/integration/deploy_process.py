"""What makes a daemon of `hive_process` deploy: containers that are words in a file, and moments at which it is killed.

The moments are numbered: after each step that is written down, each tag, each word to the approvals, each switch.
"""

from __future__ import annotations

import json
import os
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

from hive_process import NobodyRuntime

from hyperhive.hive.approvals import Approvals
from hyperhive.hive.builder import NoBuilder
from hyperhive.hive.lifecycle import Lifecycle
from hyperhive.hive.repos import Repos
from hyperhive.store import deployments
from hyperhive.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hyperhive.runtime.base import AgentPlan, Change

#: What is done in a deployment, beside writing down its steps.
_DONE = (
    (Repos, "tag"),
    (Repos, "advance"),
    (Approvals, "deploying"),
    (Approvals, "deployed"),
    (Approvals, "deploy_failed"),
    (NoBuilder, "keep"),
    (NoBuilder, "forget"),
    (Lifecycle, "apply"),
    (Lifecycle, "connected"),
)


class FileRuntime(NobodyRuntime):
    """Containers that outlive the daemon: a file says on which system each of them runs."""

    def __init__(self, agents: Any, file: Path) -> None:  # noqa: ANN401 - as it is passed on
        super().__init__(agents)
        self._file = file

    def systems(self) -> dict[str, str]:
        return dict(json.loads(self._file.read_text())) if self._file.exists() else {}

    def _write(self, name: str, system: str | None) -> None:
        systems = {**self.systems(), name: system}
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps({key: value for key, value in systems.items() if value}))
        fresh.replace(self._file)

    async def start(self, plan: AgentPlan) -> None:
        if plan.name not in self.systems():
            self._write(plan.name, _system(plan))
        await super().start(plan)

    async def stop(self, name: str) -> None:
        self._write(name, None)
        await super().stop(name)

    def change(self, plan: AgentPlan) -> Change:
        return "none" if self.systems().get(plan.name) == _system(plan) else "restart"

    async def deploy(self, plan: AgentPlan) -> Change:
        change = self.change(plan)
        if change == "restart":
            await self.stop(plan.name)
            await self.start(plan)
        return change


def _system(plan: AgentPlan) -> str:
    assert plan.container is not None
    return str(plan.container.system)


def prepare(agents: Any, hook: Path) -> FileRuntime:  # noqa: ANN401 - as it is passed on
    """Set the moments; the runtime of this daemon."""
    from hyperhive.hive import deployment, signs  # noqa: PLC0415 - changed here, in a process of its own

    asked = json.loads(hook.read_text())
    deployment.Deployment.__init__.__defaults__ = (asked["patience"],)  # type: ignore[misc]
    # Time enough for a harness that comes: one that is given up is restarted under it.
    signs._FIRST = 5.0  # type: ignore[misc]
    moments = count(1)

    def moment() -> None:
        number = next(moments)
        hook.with_name("moments").write_text(str(number))
        if number == asked["killAt"]:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in _DONE:
        setattr(owner, name, _followed(getattr(owner, name), moment))
    submit = Store.submit

    def followed_submit(self: Store, operation: Any, item: Any, then: Any = None) -> Any:  # noqa: ANN401
        written = submit(self, operation, item, then)
        if operation in {deployments.begin, deployments.advance}:
            written.add_done_callback(lambda _done: moment())
        return written

    Store.submit = followed_submit  # type: ignore[method-assign]
    return FileRuntime(agents, hook.with_name("running.json"))


def _followed(function: Callable[..., Any], moment: Callable[[], None]) -> Callable[..., Any]:
    async def followed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        done = await function(*args, **kwargs)
        moment()
        return done

    return followed
