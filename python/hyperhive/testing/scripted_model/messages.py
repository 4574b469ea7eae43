"""The Messages API on the wire: a response as server-sent events or as one object, and errors.

An answer becomes a sequence of events with pauses between them; the streaming form writes them out, the other one folds
them together, so that both always say the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hyperhive.testing.scripted_model.steps import Delay, Headers, Spoken, Text, Thinking, Tool, Usage
from hyperhive.testing.scripted_model.template import fill, fill_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hyperhive.testing.scripted_model.player import Answer, Part

Event = dict[str, Any]
#: Characters of a token, roughly; good enough for numbers that nobody pays.
_CHARACTERS = 4


def estimate(size: int) -> int:
    """Tokens in `size` characters, never none."""
    return size // _CHARACTERS + 1


def events(answer: Answer, *, model: str, unique: str, size: int) -> Iterator[Event | float]:
    """The events of `answer`, and as floats the seconds to wait in between.

    Args:
        answer: what to say; a fault at its end leaves the last text open, as a broken connection does.
        model: the model that was asked for.
        unique: hexadecimal, different for each response.
        size: of the request in bytes, from which the input tokens are estimated.
    """
    usage = {"input_tokens": estimate(size), "output_tokens": 1, "cache_read_input_tokens": 0}
    usage["cache_creation_input_tokens"] = 0
    said = [part for part in answer.parts if isinstance(part.step, Text | Thinking | Tool)]
    usage["output_tokens"] = estimate(sum(len(part.step.model_dump_json()) for part in said))
    for part in answer.parts:
        usage.update({str(k): v for k, v in part.step.usage.items()} if isinstance(part.step, Usage) else {})
    started, index = False, 0
    for part in answer.parts:
        if isinstance(part.step, Delay):
            yield part.step.delay
        elif part in said:
            if not started:
                yield _start(model, unique, usage)
                started = True
            cut = answer.fault is not None and part is said[-1] and not isinstance(part.step, Tool)
            yield from _block(part, index, answer.values, f"{unique}{index:02x}", cut=cut)
            index += 1
    if answer.fault is None:
        if not started:
            yield _start(model, unique, usage)
        delta = {"stop_reason": answer.stop_reason, "stop_sequence": None}
        yield {"type": "message_delta", "delta": delta, "usage": usage}
        yield {"type": "message_stop"}


def _start(model: str, unique: str, usage: dict[str, int]) -> Event:
    message = {"id": f"msg_{unique}", "type": "message", "role": "assistant", "model": model, "content": []}
    ends = {"stop_reason": None, "stop_sequence": None, "usage": usage | {"output_tokens": 1}}
    return {"type": "message_start", "message": message | ends}


def _block(part: Part, index: int, values: dict[str, str], unique: str, *, cut: bool) -> Iterator[Event | float]:
    """One content block; `cut` leaves it open."""
    step, deltas = part.step, list[dict[str, Any]]()
    if isinstance(step, Tool) and part.place:
        tool_id = part.place.tool_id(unique)
        block: dict[str, Any] = {"type": "tool_use", "id": tool_id, "name": step.full_name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(fill_all(step.input, values))}]
    elif isinstance(step, Thinking):
        block = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(step, step.thinking, values)]
        deltas.append({"type": "signature_delta", "signature": unique})
    else:
        block = {"type": "text", "text": ""}
        text = step.text if isinstance(step, Text) else ""
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(step, text, values)]
    yield {"type": "content_block_start", "index": index, "content_block": block}
    for number, delta in enumerate(deltas):
        if number and isinstance(step, Spoken) and step.chunk:
            yield step.pace
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    if not cut:
        yield {"type": "content_block_stop", "index": index}


def _pieces(step: object, text: str, values: dict[str, str]) -> list[str]:
    said = fill(text, values)
    size = (step.chunk if isinstance(step, Spoken) else None) or max(len(said), 1)
    return [said[at : at + size] for at in range(0, len(said), size)]


def fold(stream: Iterable[Event]) -> dict[str, Any]:
    """The message that a stream of events amounts to, for a request that did not ask for a stream."""
    message: dict[str, Any] = {}
    for event in stream:
        if event["type"] == "message_start":
            message = event["message"] | {"content": []}
        elif event["type"] == "content_block_start":
            message["content"].append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            _add(message["content"][-1], event["delta"])
        elif event["type"] == "message_delta":
            message |= event["delta"] | {"usage": event["usage"]}
    return message


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if delta["type"] == "input_json_delta":
        block["input"] = json.loads(delta["partial_json"])
        return
    key = str(delta["type"]).removesuffix("_delta")
    block[key] = block.get(key, "") + delta[key]


def headers_of(answer: Answer) -> dict[str, str]:
    """What the `headers` steps of `answer` add."""
    return {k: v for part in answer.parts if isinstance(part.step, Headers) for k, v in part.step.headers.items()}


def sse(event: Event) -> bytes:
    """`event` as it travels in a stream."""
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def error_body(kind: str, message: str) -> Event:
    """An error, as a body and as an event."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def error_headers(status: int) -> dict[str, str]:
    """Tells claude whether to try again: without this header it retries even a 401."""
    retry = status >= 500 or status in {408, 409, 429}  # noqa: PLR2004 - server errors
    return {"x-should-retry": "true" if retry else "false"}
