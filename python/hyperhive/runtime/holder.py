"""The holder: a tiny process between the hive and one harness, so that nothing of an agent outlives its run.

It adopts every orphan below it (child subreaper) and ends all of them when the harness ended, when it is told to, or
when the hive is gone. The hive holds the other end of its standard input and never writes: end of file is the one
signal that comes however the hive ended, and it cannot be missed between two instructions as a parent-death signal
can. Commands of claude run in sessions of their own, so a process group would not do.

Standard library only, started with `-I -S`: it costs what a bare interpreter costs. It is run as a file, never imported
by the hive. Started by root it stays root, out of reach of the agent below it.

    holder.py STATUS_FD no-new-privs|keep-privs COMMAND…

It says on STATUS_FD `run`, then `exit <code>` (negative for a signal) once the last process is gone, or `fail <why>`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys

TYPE_CHECKING = False  # importing typing and pathlib would cost a third of the start
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_LIFE = 0
_KILLED = -int(signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _noticed(_signal: int, _frame: FrameType | None) -> None:
    """Do nothing: the number arrives through the wake-up pipe."""


def _watch_signals() -> int:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _noticed)
    signal.signal(signal.SIGTERM, _noticed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return reader


def _become(command: list[str], holder: int, failure: int) -> NoReturn:
    """In the new child: turn into the harness."""
    try:
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        # A seat-belt for the case that somebody kills the holder; a change of uid clears it, setpriv sets it again.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != holder:
            os._exit(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, _LIFE)
        os.execvp(command[0], command)  # noqa: S606 - that is what it is for
    except OSError as error:
        os.write(failure, f"{command[0]}: {error.strerror}".encode())
    finally:
        os._exit(127)


def _spawn(command: list[str]) -> tuple[int, str]:
    """The new child and why it could not become the harness, empty where it could."""
    reader, writer = os.pipe()
    holder = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, holder, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as failure:
        return child, failure.read().decode(errors="replace")


def _look_at(pid: int | str) -> tuple[int, str]:
    """The parent of a process and its start time, which tells two with the same pid apart."""
    with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - see the imports
        fields = stat.read().rpartition(b")")[2].split()
    return int(fields[1]), fields[19].decode()


def _processes() -> dict[int, tuple[int, str]]:
    found = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - see the imports
        if entry.isdecimal():
            # Gone while we look: then it is no process any more.
            with contextlib.suppress(OSError):
                found[int(entry)] = _look_at(entry)
    return found


def _descendants() -> list[tuple[int, str]]:
    processes = _processes()
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    below, found = [os.getpid()], []
    while below:
        for pid in children.get(below.pop(), ()):
            below.append(pid)
            found.append((pid, processes[pid][1]))
    return found


def _kill(pid: int, started: str) -> None:
    """End one process, and no other one that got its pid since we looked."""
    with contextlib.suppress(OSError):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:  # a kernel without pidfds
            os.kill(pid, signal.SIGKILL)
            return
        try:
            if _look_at(pid)[1] == started:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _reap(child: int, flags: int) -> int | None:
    """Collect what ended, waiting for one unless WNOHANG is in `flags`; the code of `child` if it was among them.

    Raises:
        ChildProcessError: nothing is left below us: every descendant that lost its parent is a child of ours.
    """
    while True:
        pid, status = os.waitpid(-1, flags)
        if pid == 0:
            return None
        flags = os.WNOHANG
        if pid == child:
            # The rest is left to the next call, so that a ChildProcessError cannot lose the code.
            return os.waitstatus_to_exitcode(status)


def _until_told(child: int, wake: int) -> int | None:
    """Wait until the harness ended (its code) or we shall end it (None)."""
    while True:
        ready, _, _ = select.select([_LIFE, wake], [], [])
        if _LIFE in ready or signal.SIGTERM in os.read(wake, 512):
            return None
        code = _reap(child, os.WNOHANG)
        if code is not None:
            return code


def _end_all(child: int, code: int | None) -> int:
    """Kill every descendant, again and again until none is left: one that was killed forks no more."""
    with contextlib.suppress(ChildProcessError):
        while True:
            found = _descendants()
            for pid, started in found:
                _kill(pid, started)
            reaped = _reap(child, 0 if found else os.WNOHANG)
            code = reaped if reaped is not None else code
    return _KILLED if code is None else code


def main(arguments: list[str]) -> NoReturn:
    """Run COMMAND until it, or the hive, has ended."""
    status, privileges, command = int(arguments[0]), arguments[1], arguments[2:]
    os.set_inheritable(status, False)  # noqa: FBT003 - its signature
    wake = _watch_signals()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    if privileges == "no-new-privs":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    child, failure = _spawn(command)
    # The hive may be gone; then nobody wants to know.
    with contextlib.suppress(OSError):
        if failure:
            os.write(status, f"fail {failure}\n".encode())
            os._exit(1)
        os.write(status, b"run\n")
    code = _end_all(child, _until_told(child, wake))
    with contextlib.suppress(OSError):
        os.write(status, f"exit {code}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
