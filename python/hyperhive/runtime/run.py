"""One run of one harness: the holder below this process, three pipes, one task.

The pipes: *life*, whose end this process holds, so that its death is the holder's order to end everything; *status*, on
which the holder says that the command runs and how it ended; *output*. No thread, no signal and no polling is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hyperhive.errors import HiveError
from hyperhive.runtime.base import AgentPlan, Exit
from hyperhive.runtime.output import OutputLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds that output may still come after the holder is gone; more than none only if somebody killed the holder.
_LAST_WORDS: Final = 2
_HOLDER: Final = Path(__file__).with_name("holder.py")


@dataclass(frozen=True)
class Launch:
    """What a run starts.

    Attributes:
        command: the program and its arguments.
        environment: the whole of it.
        directory: its working directory.
        umask: its mask.
        privileges: `no-new-privs`, or `keep-privs` where the command gives them up itself.
        descriptors: open files that it inherits; the run closes them here.
        signals_from: exit codes above this are signals plus this, as bwrap reports them.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    umask: int
    privileges: str
    descriptors: tuple[int, ...] = ()
    signals_from: int | None = None

    def code(self, code: int) -> int:
        """An exit code as `subprocess` gives it."""
        base = self.signals_from
        return base - code if base is not None and base < code <= base + 64 else code


async def _reader(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader, transport


class Run:
    """A harness that was started. The task is the caller's to wait for; it ends by itself once everything is gone.

    Args:
        plan: the agent.
        launch: what to start.
        ended: called once at the end, without an `Exit` if the command never ran.
        wrote: called after each piece of output.
    """

    def __init__(
        self, plan: AgentPlan, launch: Launch, ended: Callable[[Run, Exit | None], None], wrote: Callable[[], None]
    ) -> None:
        self.plan = plan
        self._launch = launch
        self._ended = ended
        self._wrote = wrote
        self.ending = False
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # A start that was cancelled leaves nobody to look at it.
        self.started.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._life: int | None = None
        self._output = OutputLog(plan.log)
        self._process, status, output = self._spawn()
        self.task = asyncio.create_task(self._follow(status, output), name=f"run {plan.name}")

    @property
    def is_running(self) -> bool:
        """Whether the command runs, as far as is known."""
        return self.started.done() and not self.started.exception()

    def end(self) -> None:
        """Order the end of every process; returns at once."""
        self.ending = True
        self._let_go()

    def _let_go(self) -> None:
        if self._life is not None:
            os.close(self._life)
            self._life = None

    def _spawn(self) -> tuple[subprocess.Popen[bytes], int, int]:
        launch = self._launch
        life_in, self._life = os.pipe()
        status_out, status_in = os.pipe()
        output_out, output_in = os.pipe()
        holder = [sys.executable, "-I", "-S", str(_HOLDER), str(status_in), launch.privileges]
        try:
            process = subprocess.Popen(
                [*holder, *launch.command],
                stdin=life_in,
                stdout=output_in,
                stderr=subprocess.STDOUT,
                env=dict(launch.environment),
                cwd=launch.directory,
                umask=launch.umask,
                pass_fds=(status_in, *launch.descriptors),
                # Ctrl-C at the hive's terminal is for the hive, which then ends its agents in order.
                start_new_session=True,
            )
        except BaseException as error:
            self._let_go()
            os.close(status_out)
            os.close(output_out)
            if isinstance(error, OSError):
                raise self._unavailable(str(error)) from error
            raise
        finally:
            for descriptor in (life_in, status_in, output_in, *launch.descriptors):
                os.close(descriptor)
        return process, status_out, output_out

    def _unavailable(self, why: str) -> HiveError:
        msg = f"the harness of '{self.plan.name}' cannot be started: {why}"
        return HiveError("runtime_unavailable", msg, f"What it said is in '{self.plan.log}'")

    async def _follow(self, status_pipe: int, output_pipe: int) -> None:
        first, last = "", [""]
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._output.close)
            # A cancelled task, too, leaves nothing running.
            stack.callback(self._see_it_end)
            status, transport = await _reader(status_pipe)
            stack.callback(transport.close)
            output, transport = await _reader(output_pipe)
            stack.callback(transport.close)
            copying = asyncio.create_task(self._copy(output), name=f"output {self.plan.name}")
            stack.callback(copying.cancel)
            first = (await status.readline()).decode(errors="replace").strip()
            if first == "run":
                self.started.set_result(None)
            # Ends when the holder does, which is the only process that has this pipe.
            last = (await status.read()).decode(errors="replace").split()
            await asyncio.wait({copying}, timeout=_LAST_WORDS)
        self._report(first, int(last[1]) if last[:1] == ["exit"] else self._process.returncode)

    def _see_it_end(self) -> None:
        self._let_go()
        # At once, except after a cancellation, and then as long as killing takes.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS)

    async def _copy(self, output: asyncio.StreamReader) -> None:
        while chunk := await output.read(65536):
            self._output.feed(chunk)
            self._wrote()

    def _report(self, first: str, code: int) -> None:
        if first == "run":
            self._ended(self, Exit(self.plan.name, self._launch.code(code), self.ending, self._output.tail))
            return
        why = first.removeprefix("fail ") or f"the holder ended with {code}: {' '.join(self._output.tail)}"
        self._ended(self, None)
        with contextlib.suppress(asyncio.InvalidStateError):
            self.started.set_exception(self._unavailable(why))
