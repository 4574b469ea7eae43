"""The route by which a change of an agent's configuration comes in: a git bundle as it is, on the manager's socket.

It is written to a file of the hive's as it comes, never held in memory, and read by nobody but `incoming`. One at a
time: whoever holds the line longer than a bundle takes loses it.
"""

# FastAPI reads the annotations of its routes at run time, so what they name is imported for real.
import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from starlette.requests import ClientDisconnect

from hyperhive.errors import HiveError
from hyperhive.hive.hive import Hive
from hyperhive.web.api.caller import Caller
from hyperhive.web.api.manager import ALONE, approval_answer, refuse_itself
from hyperhive.wire import ApprovalAnswer, ConfigProposal

#: Seconds that the whole of a bundle may take to come in.
_PATIENCE: Final = 60.0


def add_proposals(app: FastAPI, hive: Hive) -> None:
    """Add the route."""

    @app.post("/v1/config-proposals", status_code=201, dependencies=ALONE)
    async def propose(agent: Caller, about: Annotated[ConfigProposal, Query()], request: Request) -> ApprovalAnswer:
        """Ask for a commit of an agent's configuration, which the body brings, to be put in."""
        refuse_itself(about.agent)
        async with hive.proposing, _received(hive.layout.uploads, request) as bundle:
            row = await hive.approvals.request_apply(
                agent.name, about.agent, about.commit, bundle, about.description, about.idempotency_key
            )
        return approval_answer(row)


@asynccontextmanager
async def _received(uploads: Path, request: Request) -> AsyncIterator[Path]:
    """The body of a request as a file, as long as it is needed.

    Raises:
        HiveError: `storage_full`; `malformed`: it broke off or took too long.
    """
    # What is there was left by a daemon that was killed.
    await asyncio.to_thread(shutil.rmtree, uploads, ignore_errors=True)
    uploads.mkdir(mode=0o700)  # noqa: ASYNC240 - one question to the kernel
    try:
        descriptor, name = tempfile.mkstemp(dir=uploads)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            await _write(file.write, request)
        yield Path(name)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        what = "the disk of the state directory is full, the bundle was not taken"
        raise HiveError("storage_full", what, "Free some room, then ask again") from error
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, uploads, ignore_errors=True))


async def _write(write: Any, request: Request) -> None:  # noqa: ANN401 - of a raw file
    """Write the body as it comes; the gate of the socket bounds it."""
    try:
        async with asyncio.timeout(_PATIENCE):
            async for chunk in request.stream():
                rest = memoryview(chunk)
                while rest:
                    rest = rest[write(rest) :]
    except (TimeoutError, ClientDisconnect):
        what = f"the bundle did not come to its end within {_PATIENCE:g} s"
        raise HiveError("malformed", what, "Send it in one go") from None
