"""What a request says about where its turn stands, read from the messages alone.

A turn begins with the newest prompt. `claude` writes more into the conversation than prompts: reminders, context in
messages of role `system`, results of tools, marks of interruptions, and requests of its own to go on after a response
that was cut off. All shapes were taken from real requests (2.1.330); `tests/integration` holds them to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from hyperhive.testing.scripted_model.place import Place

COMPACTION: Final = "CRITICAL: Respond with TEXT ONLY"
#: Asks for what follows a response that ended for a reason of its own (a `stop` step).
_AFTER_STOP: Final = ("Output token limit hit.", "Your response above was stopped by a safety classifier")
#: Asks for the same response again.
_AGAIN: Final = ("Your response above was cut off mid-stream.", "[Your previous response had no visible output.")
#: Written by claude for the model, by nobody who prompts it.
_NOISE: Final = (
    "<system-reminder>",
    "<local-command-",
    "<command-name>",
    "<command-message>",
    "[Request interrupted by user",
    "This session is being continued from a previous conversation",
)
_INJECTED: Final = re.compile(
    r"The user sent a new message while you were working:\n(.*?)(?=\n\nThis is how Claude Code surfaces|\Z)", re.DOTALL
)
_REMINDER: Final = re.compile(r"\A\s*(?:<system-reminder>.*?</system-reminder>\s*)+", re.DOTALL)

Block = dict[str, Any]


@dataclass
class Turn:
    """The state of the turn that a request belongs to.

    Attributes:
        prompt: the newest prompt; None where a compaction removed it.
        identity: differs between turns of one session, even for the same prompt; equal for a request and its retry.
        answers: responses of the model since the prompt.
        again: claude asks once more for a response that it had.
        anchor: where the last tool call since the prompt stands in the script.
        stops: responses since the anchor that ended with a `stop` step.
        tool_result: what the last tool call since the prompt gave.
        compaction: claude wants a summary; no script knows of it.
    """

    prompt: str | None = None
    identity: str = ""
    answers: int = 0
    again: bool = False
    anchor: Place | None = None
    stops: int = 0
    tool_result: str | None = None
    compaction: bool = False


def read_turn(messages: list[dict[str, Any]]) -> Turn:
    """Find the newest prompt of `messages` and what happened since."""
    turn = Turn()
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        blocks = _blocks(message.get("content"))
        if message.get("role") == "assistant":
            turn.answers += 1
            turn.anchor = turn.anchor or _anchor(blocks)
        elif message.get("role") == "user":
            _read_user(turn, blocks)
        else:
            turn.prompt = _injected(_texts(blocks))
        if turn.compaction or turn.prompt is not None:
            before = sum(earlier.get("role") == "assistant" for earlier in messages[:index])
            turn.identity = "\0".join([str(before), *(text.strip() for text in _texts(blocks))])
            break
    return turn


def _read_user(turn: Turn, blocks: list[Block]) -> None:
    """Take in one message of role `user`: the prompt, or results of tools and requests to go on."""
    reminders = [text for text in _texts(blocks) if text.startswith("<system-reminder>")]
    texts = [text for text in _texts(blocks) if text not in reminders]
    if turn.answers == 0 and texts and texts[-1].startswith(COMPACTION):
        turn.compaction = True
        return
    turn.again = turn.again or (turn.answers == 0 and any(text.startswith(_AGAIN) for text in texts))
    turn.prompt = _prompt(blocks) or _injected(reminders)
    if turn.prompt is None:
        if turn.anchor is None:
            turn.stops += any(text.startswith(_AFTER_STOP) for text in texts)
        results = [block for block in blocks if block.get("type") == "tool_result"]
        if results and turn.tool_result is None:
            turn.tool_result = "\n".join(_texts(_blocks(results[-1].get("content"))))


def _prompt(blocks: list[Block]) -> str | None:
    """The newest prompt among `blocks`.

    Prompts that were never answered stand together in one message, and claude ends all but the last with a newline; the
    blocks of one prompt have none.
    """
    parts: list[str] = []
    for block in reversed(blocks):
        if block.get("type") == "tool_result" and parts:
            break
        if block.get("type") != "text":
            continue
        text = str(block.get("text"))
        said = _REMINDER.sub("", text)
        if not said.strip() or said.startswith((*_NOISE, *_AGAIN, *_AFTER_STOP)) or (parts and text.endswith("\n")):
            if parts:
                break
            continue
        parts.append(said.strip())
    return "\n".join(reversed(parts)) or None


def _injected(context: list[str]) -> str | None:
    """The last prompt that was sent while the turn was under way; it comes as context, not as a message of the user."""
    found = [match for text in context for match in _INJECTED.findall(text)]
    return str(found[-1]).strip() if found else None


def _anchor(blocks: list[Block]) -> Place | None:
    """The last step among the tool calls of a response."""
    places = [Place.of_tool_id(str(block.get("id"))) for block in blocks if block.get("type") == "tool_use"]
    return max((place for place in places if place), key=lambda place: place.step, default=None)


def _blocks(content: object) -> list[Block]:
    """The content of a message or of a tool's result, which may be a string, as blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _texts(blocks: list[Block]) -> list[str]:
    return [str(block.get("text")) for block in blocks if block.get("type") == "text"]
