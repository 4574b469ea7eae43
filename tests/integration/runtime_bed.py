"""What the tests of the runtimes share: a place for a hive, and programs in the role of the harness.

As a program it is the launcher that gets killed: `runtime_bed.py RUNTIME DIRECTORY` starts one agent and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperhive.runtime.base import AgentPlan, Exit, Repositories
from hyperhive.runtime.bubblewrap import BubblewrapRuntime
from hyperhive.runtime.owners import this_hive
from hyperhive.runtime.process import ProcessRuntime
from hyperhive.runtime.surroundings import Surroundings
from hyperhive.testing.contracts.runtime import Subject

if TYPE_CHECKING:
    from hyperhive.runtime.processes import ProcessTrees

_RUN = "import os; exec(open(os.environ['HIVE_STATE'] + '/program.py').read())"
#: A harness that ends when it is told to, with the code it is told.
OBEDIENT = "import os, sys; sys.exit(int(os.read(os.open(os.environ['HIVE_STATE'] + '/control', os.O_RDONLY), 9)))"
#: A harness with a grandchild in a session of its own; whoever of them lives holds `alive` open.
FAMILY = """
import os, subprocess, time
alive = os.open(os.environ["HIVE_STATE"] + "/alive", os.O_WRONLY)
subprocess.Popen(["setsid", "sh", "-c", f"echo grandchild >&{alive}; sleep 1000"], pass_fds=[alive])
os.write(alive, b"child\\n")
time.sleep(1000)
"""
SYSTEM_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")


def make_runtime(name: str, **more: Any) -> ProcessTrees:  # noqa: ANN401 - passed on
    """A runtime whose harness is the agent's `program.py`."""
    if name == "bubblewrap":
        return BubblewrapRuntime(command=(sys.executable, "-P", "-c", _RUN), **more)
    if not this_hive().privileged:
        return ProcessRuntime(command=(sys.executable, "-P", "-c", _RUN), **more)
    # The Python of the tests may lie where no other uid can read; what is tested here is not that.
    usr = Surroundings((Path("/usr"),), (), (), "/usr/local/bin:/usr/bin:/bin", ())
    return ProcessRuntime(command=(str(SYSTEM_PYTHON), "-P", "-c", _RUN), surroundings=usr, **more)


class Bed:
    """A hive's directories, and one runtime in them."""

    def __init__(self, directory: Path, runtime: ProcessTrees) -> None:
        self.directory = directory
        self.runtime = runtime
        self.subject = Subject(runtime, self.plan, self.crash)
        self.repositories: Repositories | None = None
        self._open = contextlib.ExitStack()

    async def close(self) -> None:
        await self.runtime.close()
        self._open.close()

    def plan(self, name: str, program: str = OBEDIENT) -> AgentPlan:
        state = self.directory / "state" / "agents" / name
        plan = AgentPlan(
            name=name,
            claude=state / "claude",
            state=state / "state",
            shared=self.directory / "state" / "shared",
            socket_dir=self.directory / "run" / "agents" / name,
            log=self.directory / "state" / "logs" / f"{name}.log",
            repositories=self.repositories,
        )
        plan.state.mkdir(parents=True, exist_ok=True)
        (plan.state / "program.py").write_text(program)
        for fifo in ("control", "alive"):
            if not (plan.state / fifo).exists():
                os.mkfifo(plan.state / fifo)
                (plan.state / fifo).chmod(0o666)
        return plan

    async def crash(self, name: str, code: int) -> None:
        # Open both ways it never blocks, and what is written waits for the reader as long as it stays open.
        control = os.open(self._state(name) / "control", os.O_RDWR)
        os.write(control, str(code).encode())
        self._open.callback(os.close, control)

    def _state(self, name: str) -> Path:
        return self.directory / "state" / "agents" / name / "state"

    async def run(self, plan: AgentPlan) -> Exit:
        await self.runtime.start(plan)
        return await self.subject.next_exit()

    async def ask(self, source: str, name: str = "alice") -> Any:  # noqa: ANN401 - JSON
        """What `source` leaves in `answer`, run as the harness of `name`."""
        plan = self.plan(
            name, f"{source}\nimport json; open(os.environ['HIVE_STATE'] + '/answer', 'w').write(json.dumps(answer))"
        )
        end = await self.run(plan)
        assert end.code == 0, end
        return json.loads((plan.state / "answer").read_text())


async def written(pipe: Path) -> bytes:
    """All that a program writes to a named pipe, from when it opens it until it closes it."""
    reader, file = asyncio.StreamReader(), os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb", 0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    try:
        return await reader.read()
    finally:
        transport.close()


class Alive:
    """Says when the last process of a `FAMILY` is gone."""

    def __init__(self, plan: AgentPlan) -> None:
        self._fd = os.open(plan.state / "alive", os.O_RDONLY | os.O_NONBLOCK)

    async def read(self) -> bytes:
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._fd, readable.set)
        try:
            await asyncio.wait_for(readable.wait(), 60)
        finally:
            loop.remove_reader(self._fd)
        return self.now()

    def now(self) -> bytes:
        """What was written, without waiting for it; nothing where nobody is left to write."""
        return os.read(self._fd, 1000)

    async def up(self) -> None:
        seen = b""
        while not (b"child\n" in seen.replace(b"grandchild\n", b"") and b"grandchild\n" in seen):
            seen += await self.read()

    async def gone(self) -> None:
        while await self.read():
            pass
        os.close(self._fd)


async def _launch(name: str, directory: Path) -> None:
    bed = Bed(directory, make_runtime(name))
    await bed.runtime.start(bed.plan("alice", FAMILY))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_launch(sys.argv[1], Path(sys.argv[2])))
