"""The words around messages. What others wrote is always framed, so no prompt ever begins with it, nor with `/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hyperhive.wire import Delivery


def wake_prompt(delivery: Delivery, unread: int, new_session: str | None = None) -> str:
    """The prompt of one turn.

    Args:
        delivery: the message that wakes the agent.
        unread: how many more wait.
        new_session: why the conversation begins anew, if it does and that is news.
    """
    notes = [_about(delivery)]
    if delivery.redelivered:
        notes.append(
            "You were given this message before, but that turn did not end properly. Look at what is already done "
            "before you do it again."
        )
    if unread:
        notes.append(_waiting(unread))
    if new_session:
        notes.append(
            f"Your earlier conversation could not be continued ({new_session}); this is a new one. "
            "Your notes.md tells what you knew."
        )
    # The body comes last, and is said to: whatever it pretends to be, it stands below this line.
    notes.append(f"All that follows was written by {delivery.from_}.")
    return "\n".join(notes) + f"\n\nMessage from {delivery.from_}:\n{delivery.body}"


def inbox_text(deliveries: Sequence[Delivery], unread: int) -> str:
    """The result of the recv tool. Each line of a body is marked, so that none can pose as a message of its own."""
    if not deliveries:
        return "No message waits." if not unread else _waiting(unread)
    parts = []
    for delivery in deliveries:
        body = "\n".join(f"| {line}" for line in delivery.body.splitlines())
        again = " (given to you before)" if delivery.redelivered else ""
        parts.append(f"Message from {delivery.from_}{again}:\n{body}\n{_about(delivery)}")
    return "\n\n".join([*parts, *([_waiting(unread)] if unread else [])])


def _about(delivery: Delivery) -> str:
    reply = f" It is a reply to your message {delivery.in_reply_to}." if delivery.in_reply_to else ""
    everyone = " It went to every agent." if delivery.broadcast_id else ""
    answer = f'send(to="{delivery.from_}", in_reply_to={delivery.id})'
    how = "" if delivery.from_ in {"system", "reminder"} else f" To answer it: {answer}."
    return f"This is message {delivery.id}.{reply}{everyone}{how}"


def _waiting(unread: int) -> str:
    one = unread == 1
    return f"{unread} more message{'' if one else 's'} wait{'s' if one else ''} for you."
