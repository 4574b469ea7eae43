"""Sends a decided answer: in the form that was asked for, with its pauses, and with the fault that cuts it off."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hyperhive.testing.scripted_model import messages
from hyperhive.testing.scripted_model.connection import Dropped
from hyperhive.testing.scripted_model.steps import Drop, Error, ErrorAnswer, Hang
from hyperhive.testing.scripted_model.template import fill

if TYPE_CHECKING:
    from hyperhive.testing.scripted_model.connection import Reply
    from hyperhive.testing.scripted_model.player import Answer

JSON: Final = {"content-type": "application/json"}


async def play(answer: Answer, body: dict[str, Any], size: int, reply: Reply) -> None:
    """Send `answer` to the request `body` of `size` bytes."""
    unique = secrets.token_hex(10)
    headers = {"request-id": f"req_{unique}", **messages.headers_of(answer)}
    stream = bool(body.get("stream"))
    said: list[messages.Event] = []
    pending = b""
    model = str(body.get("model", ""))
    for event in messages.events(answer, model=model, unique=unique, size=size):
        if isinstance(event, dict):
            said.append(event)
            pending += messages.sse(event)
            continue
        if stream and pending:
            await _flush(reply, headers, pending)
            pending = b""
        await asyncio.sleep(event)
    if stream and pending:
        await _flush(reply, headers, pending)
    if answer.fault:
        await _fail(answer, headers, reply)
    elif stream:
        await reply.finish()
    else:
        await reply.send(200, headers | JSON, json.dumps(messages.fold(said)).encode())


async def _flush(reply: Reply, headers: dict[str, str], data: bytes) -> None:
    if not reply.started:
        await reply.start(200, headers | {"content-type": "text/event-stream", "cache-control": "no-cache"})
    await reply.write(data)


async def _fail(answer: Answer, headers: dict[str, str], reply: Reply) -> None:
    """Let the fault of `answer` happen; it is an event once the head of the response is out."""
    if isinstance(answer.fault, Error):
        error = answer.fault.error
        body = messages.error_body(error.kind, fill(error.message, answer.values))
        if reply.started:
            await reply.write(messages.sse(body))
            await reply.finish()
        else:
            all_headers = headers | JSON | messages.error_headers(error.status) | error.headers
            await reply.send(error.status, all_headers, json.dumps(body).encode())
    elif isinstance(answer.fault, Hang):
        await _hang()
    elif isinstance(answer.fault, Drop):
        raise Dropped


async def _hang() -> NoReturn:
    """Wait until the task is cancelled: the client went away, or the model is closed."""
    while True:
        await asyncio.Event().wait()


async def refuse(reply: Reply, status: int, message: str) -> None:
    """An error of this server itself, in the form of the API's."""
    body = messages.error_body(ErrorAnswer(status=status).kind, message)
    await reply.send(status, JSON | messages.error_headers(status), json.dumps(body).encode())
