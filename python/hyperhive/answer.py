"""Waiting for the answer to a message, through the stream: what `HiveClient.ask` does after it has sent."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from hyperhive.errors import HiveError
from hyperhive.names import OPERATOR
from hyperhive.shapes import MessageRow

if TYPE_CHECKING:
    from hyperhive.client import HiveClient
    from hyperhive.shapes import StateSnapshot, StreamEvent


async def wait_for_answer(client: HiveClient, to: str, task: int, since: StateSnapshot) -> MessageRow:
    """The reply of `to` to the message `task`, or else its next message to the operator that replies to no other.

    Args:
        client: the operator.
        to: the agent that was asked.
        task: id of the message that it was sent.
        since: a snapshot of before that, so that no answer falls between.

    Raises:
        HiveError: `operation_failed` when the task became a dead letter.
    """
    async with aclosing(client.follow(since.seq, since.epoch)) as changes:
        async for change in changes:
            for message in await _news(client, to, change):
                _refuse_lost(message, task)
                if message.from_ == to and message.to == OPERATOR and _answers(message, task):
                    return await _whole(client, message)
    msg = "the stream of a hive never ends"  # pragma: no cover - follow comes back for ever
    raise RuntimeError(msg)


async def _news(client: HiveClient, to: str, change: StreamEvent) -> list[MessageRow]:
    if change.type == "message":
        return [MessageRow.model_validate(change.data)]
    if change.type == "resync":
        return sorted(await client.messages(agent=to), key=lambda message: message.id)
    return []


async def _whole(client: HiveClient, message: MessageRow) -> MessageRow:
    """The message with its whole body; the stream carries its beginning."""
    if not message.truncated:
        return message
    return (await client.messages(agent=message.from_, before=message.id + 1, limit=1))[0]


def _answers(message: MessageRow, task: int) -> bool:
    return message.id > task and message.in_reply_to in {task, None}


def _refuse_lost(message: MessageRow, task: int) -> None:
    if message.id == task and message.dead_letter:
        reason = f": {message.reason}" if message.reason else ""
        hint = f"See: hyperhive logs {message.to}; then: hyperhive requeue {task}"
        raise HiveError("operation_failed", f"'{message.to}' failed at message {task} too often{reason}", hint)
