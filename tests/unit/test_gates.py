"""Who may come in: the gates alone, with an application behind them that only says that it was reached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException

from hyperhive.web import door
from hyperhive.web.gates import MAX_REQUEST, SECURITY_HEADERS, AgentGate, OperatorGate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TOKEN = "t" * 43


class Reached:
    """An application that remembers what came through."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.size = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        self.scopes.append(dict(scope))
        more = True
        while more:
            message = await receive()
            self.size += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


class Answer:
    """What the gate or the application answered."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        body = json.loads(b"".join(message.get("body", b"") for message in messages[1:]))
        self.code = body.get("error", {}).get("code")


async def ask(
    gate: AgentGate | OperatorGate,
    path: str = "/api/state",
    *,
    headers: dict[str, str] | None = None,
    peer: tuple[int, int, int] | None = None,
    body: tuple[bytes, ...] = (b"",),
) -> Answer:
    chunks = list(body)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "path": path,
        "method": "POST",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()],
        "state": {"peer": peer} if peer else {},
    }
    await gate(scope, receive, send)
    return Answer(sent)


def operator(app: Reached | None = None, hosts: tuple[str, ...] = ()) -> OperatorGate:
    return OperatorGate(app or Reached(), TOKEN, hosts)


def bearing(token: str = TOKEN, host: str = "localhost:7000") -> dict[str, str]:
    return {"Host": host, "Authorization": f"Bearer {token}"}


# --- the operator's


async def test_the_right_token_is_let_in() -> None:
    app = Reached()
    answer = await ask(operator(app), headers=bearing())
    assert (answer.status, len(app.scopes)) == (200, 1)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer  {TOKEN}",
        "Bearer é",
    ],
)
async def test_any_other_token_is_not(authorization: str | None) -> None:
    app = Reached()
    headers = {"Host": "localhost"} | ({} if authorization is None else {"Authorization": authorization})
    answer = await ask(operator(app), headers=headers)
    assert (answer.status, answer.code, app.scopes) == (401, "bad_token", [])
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/api/state", "/api/", "/metrics", "/api/agents/alice/stop"])
async def test_no_part_of_the_api_is_open(path: str) -> None:
    assert (await ask(operator(), path, headers={"Host": "localhost"})).status == 401


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/healthz"])
async def test_the_pages_files_are_open(path: str) -> None:
    assert (await ask(operator(), path, headers={"Host": "localhost"})).status == 200


async def test_after_ten_wrong_tokens_more_are_turned_away_but_never_the_right_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(door.time, "monotonic", lambda: now)
    gate = operator()
    for _ in range(20):
        assert (await ask(gate, headers={"Host": "localhost"})).status == 401  # none is no guess
    for _ in range(10):
        assert (await ask(gate, headers=bearing("wrong"))).status == 401
    answer = await ask(gate, headers=bearing("wrong"))
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "too_many_failures", "60")
    assert (await ask(gate, headers=bearing())).status == 200
    now += 59.9
    assert (await ask(gate, headers=bearing("wrong"))).status == 429
    now += 0.2
    assert (await ask(gate, headers=bearing("wrong"))).status == 401


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7000",
        "LocalHost:7000",
        "127.0.0.1:7000",
        "[::1]",
        "[::1]:7000",
        "hive.example",
        "Hive.Example:443",
    ],
)
async def test_hosts_of_the_list(host: str) -> None:
    assert (await ask(operator(hosts=("hive.EXAMPLE",)), headers=bearing(host=host))).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[::1].evil",
        "::1",
        ":7000",
        "",
    ],
)
async def test_other_hosts_are_refused_also_with_the_token_and_for_files(host: str) -> None:
    """A name that was pointed at loopback from outside (DNS rebinding) leads nowhere."""
    for path in ("/api/state", "/"):
        answer = await ask(operator(), path, headers=bearing(host=host))
        assert (answer.status, answer.code) == (403, "forbidden_host")
    assert (await ask(operator(), headers={"Authorization": f"Bearer {TOKEN}"})).status == 403


async def test_every_answer_of_the_operators_has_the_security_headers() -> None:
    answers = [
        await ask(operator(), headers=bearing()),
        await ask(operator(), headers={"Host": "localhost"}),
        await ask(operator(), headers=bearing(host="evil.example")),
        await ask(operator(), headers={**bearing(), "Content-Length": str(MAX_REQUEST + 1)}),
        await ask(OperatorGate(Reached(), None)),
    ]
    assert [answer.status for answer in answers] == [200, 401, 403, 413, 200]
    for answer in answers:
        assert SECURITY_HEADERS.items() <= answer.headers.items()
        assert "set-cookie" not in answer.headers


def test_the_policy_allows_no_inline_code_and_no_frames() -> None:
    policy = SECURITY_HEADERS["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


async def test_host_sock_asks_for_no_token() -> None:
    assert (await ask(OperatorGate(Reached(), None))).status == 200


# --- an agent's


def harness(expected: int) -> Callable[[int], Awaitable[bool]]:
    """What a runtime says of an agent whose harness has the uid `expected`."""

    async def is_peer(uid: int) -> bool:
        return uid == expected

    return is_peer


async def test_the_agent_is_who_the_socket_says() -> None:
    app = Reached()
    answer = await ask(
        AgentGate(app, "alice", harness(1000)), "/v1/self", headers={"X-Agent": "bob"}, peer=(1, 1000, 1000)
    )
    assert (answer.status, app.scopes[0]["agent"]) == (200, "alice")


@pytest.mark.parametrize("uid", [0, 999, 1001])
async def test_another_uid_is_refused_root_too(uid: int) -> None:
    app = Reached()
    answer = await ask(AgentGate(app, "alice", harness(1000)), "/v1/self", peer=(1, uid, 1000))
    assert (answer.status, answer.code, app.scopes) == (403, "peer_refused", [])


# --- how much


@pytest.mark.parametrize("length", [str(MAX_REQUEST + 1), "9" * 30, "-1", "many", ""])
async def test_a_length_that_is_too_large_or_none_is_refused_before_reading(length: str) -> None:
    app = Reached()
    for gate, peer in ((AgentGate(app, "alice", harness(0)), (1, 0, 0)), (operator(app), None)):
        answer = await ask(gate, headers={**bearing(), "Content-Length": length}, peer=peer)
        assert (answer.status, answer.code, app.scopes) == (413, "body_too_large", [])


async def test_what_says_no_length_is_counted() -> None:
    app = Reached()
    half = b"x" * (MAX_REQUEST // 2)
    await ask(AgentGate(app, "alice", harness(0)), peer=(1, 0, 0), body=(half, half))
    assert app.size == MAX_REQUEST
    with pytest.raises(HTTPException) as caught:
        await ask(AgentGate(app, "alice", harness(0)), peer=(1, 0, 0), body=(half, half, b"x"))
    assert caught.value.status_code == 413


async def test_whatever_comes_is_read_as_json() -> None:
    app = Reached()
    await ask(operator(app), headers={**bearing(), "Content-Type": "text/plain"})
    types = [value for name, value in app.scopes[0]["headers"] if name == b"content-type"]
    assert types == [b"application/json"]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_what_is_no_request_does_not_come_in(kind: str) -> None:
    app = Reached()
    for gate in (AgentGate(app, "alice", harness(0)), operator(app)):
        await gate({"type": kind}, None, None)  # type: ignore[arg-type]
    assert app.scopes == []
