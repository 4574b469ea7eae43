"""The ways in which a text leaves the hive: a POST to an address, or a program of the operator's.

The address is a secret, because who knows it can write to the operator; so it stands in a file, and in no log or error.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hyperhive.errors import HiveError
from hyperhive.programs import start_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hyperhive.hive.notify_text import Text

#: Seconds.
_POST: Final = 15
_COMMAND: Final = 30
#: What is between the daemon and systemd, and not for programs that it starts.
_OURS: Final = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


async def post(url_file: Path, text: Text) -> None:
    """POST the text to the address in a file, as ntfy and plain webhooks take it.

    Raises:
        HiveError: `operation_failed`: it was not taken.
    """
    url, client = await asyncio.to_thread(_prepare, url_file)
    headers = {"Title": text.headline, "Click": text.link, "Content-Type": "text/plain; charset=utf-8"}
    content = "\n".join((*text.lines, text.link)).encode()
    async with client:
        try:
            answer = await client.post(url, content=content, headers=headers)
        except Exception as error:  # noqa: BLE001 - whatever httpx says; it may have the address in it
            _fail(f"the address cannot be reached ({type(error).__name__})")
    if not answer.is_success:
        _fail(f"the address answered {answer.status_code}")


def _prepare(url_file: Path) -> tuple[str, Any]:
    """The address, and a client; in a thread, because it reads files, also those of certificates."""
    import httpx  # noqa: PLC0415 - a hive that tells nobody needs none

    for name in ("httpx", "httpcore"):
        # They log each request with its address.
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        url = url_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        _fail(f"the file {url_file} cannot be read")
    if not url.startswith(("https://", "http://")) or not url.isprintable():
        _fail(f"the file {url_file} has no address that begins with https:// or http://")
    return url, httpx.AsyncClient(timeout=_POST)


async def run_command(command: Sequence[str], text: Text) -> None:
    """Run a program, without a shell, with the text in one line on its standard input.

    Raises:
        HiveError: `operation_failed`: it cannot be run, failed, or took too long and was ended.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    try:
        process = await start_program(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        _fail(f"the program '{command[0]}' cannot be run: {error.strerror}")
    try:
        async with asyncio.timeout(_COMMAND):
            await process.communicate(f"{text.line}\n".encode("utf-8", "replace"))
    except TimeoutError:
        _fail(f"the program '{command[0]}' did not end within {_COMMAND} s")
    finally:
        # What it leaves behind in order is its own business: programs for mail do so.
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
    if process.returncode:
        _fail(f"the program '{command[0]}' failed with status {process.returncode}")


def _fail(why: str) -> NoReturn:
    raise HiveError("operation_failed", why, "It is tried again by itself") from None
