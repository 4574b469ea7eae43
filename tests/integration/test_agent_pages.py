"""Agents' pages on their own ports: who gets in, to what, and that the ports come and go with their agents."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio
from broker_bed import DEADLINE
from hive_bed import RunningHive, hive_process, over, running_hive, short_place
from lifecycle_bed import life
from pages_bed import PAGES, at_port, bearing, free_names

from hyperhive.hive import systemd
from hyperhive.names import web_port
from hyperhive.web.gates import PAGE_ROUTES, SECURITY_HEADERS
from hyperhive.web.sockets import bind_tcp_now, kept_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


class Pages:
    """A hive of two agents, and what its operator knows."""

    def __init__(self, hive: RunningHive, names: list[str], clients: AsyncExitStack) -> None:
        self.hive = hive
        self.one, self.two = names
        self._clients = clients

    async def client(self, name: str, token: str | None = None, host: str = "127.0.0.1") -> Any:  # noqa: ANN401
        return await at_port(self._clients, web_port(name), token, host)

    async def url(self, name: str) -> str:
        answer = await (await self.hive.operator()).get(f"/api/agents/{name}/page-url")
        url: str = answer.json()["url"]
        return url

    async def token(self, name: str) -> str:
        return (await self.url(name)).partition("#token=")[2]

    async def row(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = (await (await self.hive.operator()).get(f"/api/agents/{name}")).json()
        return row


@pytest_asyncio.fixture
async def pages() -> AsyncIterator[Pages]:
    names = free_names(2)
    settings = {**PAGES, "allowedHosts": ["hive.example"]}
    with short_place() as place:
        async with (
            running_hive(place, {name: {} for name in names}, dashboard=settings) as hive,
            AsyncExitStack() as clients,
        ):
            yield Pages(hive, names, clients)


async def raw(port: int, target: str, token: str | None = None, *, method: str = "GET", host: str = "localhost") -> int:
    """The status of a request whose target is sent byte for byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in bearing(token).items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    async with asyncio.timeout(DEADLINE):
        status = int((await reader.readline()).split()[1])
    writer.close()
    return status


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- the page itself


async def test_each_agent_has_its_page_on_its_port_on_both_addresses(pages: Pages) -> None:
    for host in ("127.0.0.1", "[::1]"):
        answer = await (await pages.client(pages.one, host=host)).get("/")
        assert answer.status_code == 200
        assert 'data-api="/api"' in answer.text
        assert f'data-agent="{pages.one}"' in answer.text
        assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
        assert "set-cookie" not in answer.headers


async def test_the_dashboard_has_every_page_too(pages: Pages) -> None:
    answer = await (await pages.hive.browser()).get(f"/agents/{pages.one}/")
    assert answer.status_code == 200
    assert f'data-api="/api/agents/{pages.one}"' in answer.text
    assert f'data-agent="{pages.one}"' in answer.text


async def test_without_its_last_slash_it_is_found_too_also_behind_a_proxy(pages: Pages) -> None:
    answer = await (await pages.hive.browser()).get(f"/agents/{pages.one}")
    assert (answer.status_code, answer.headers["location"]) == (307, f"/agents/{pages.one}/")


async def test_the_modules_are_on_the_port(pages: Pages) -> None:
    answer = await (await pages.client(pages.one)).get("/static/page.js")
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    ["..", "%2e%2e", "..%2f..%2fetc", "a%22%3e%3cscript%3e", "Alice", "operator", "toolongname", "a/b", "a%00", "*"],
)
async def test_no_other_path_is_a_page(pages: Pages, name: str) -> None:
    assert await raw(pages.hive.ready.port, f"/agents/{name}/") == 404


async def test_the_row_says_where_the_page_is(pages: Pages) -> None:
    row = await pages.row(pages.one)
    assert row["url"] == f"http://localhost:{web_port(pages.one)}/"
    assert row["port"] == web_port(pages.one)
    assert row["portProblem"] is None


async def test_with_any_port_for_the_dashboard_agents_have_none_of_their_own() -> None:
    (name,) = free_names(1)
    with short_place() as place:
        async with running_hive(place, {name: {}}) as hive:
            url = (await (await hive.operator()).get(f"/api/agents/{name}/page-url")).json()["url"]
            assert url == f"http://localhost:{hive.ready.port}/agents/{name}/#token={hive.token}"
            assert not is_taken(web_port(name))


# --- what the page's token opens


async def test_the_pages_token_opens_what_the_page_needs(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.hive.operations.PATIENCE", 0.05)
    client = await pages.client(pages.one, await pages.token(pages.one))
    state = (await client.get("/api/state")).json()
    assert state["agent"]["name"] == pages.one
    assert state["operator"]["name"] == "operator"
    assert state["hive"]["stateDir"] is None
    assert state["messages"] == []
    assert pages.two not in json.dumps(state)
    sent = await client.post("/api/messages", json={"body": "hello"})
    assert sent.status_code == 201
    got = (await (await pages.hive.agent(pages.one)).post("/v1/recv", json={})).json()["deliveries"]
    assert [(message["from"], message["body"]) for message in got] == [("operator", "hello")]
    listed = (await client.get("/api/messages?limit=5")).json()["messages"]
    assert [message["id"] for message in listed] == [sent.json()["id"]]
    assert (await client.get("/api/events")).json() == {"events": []}
    assert (await client.post("/api/cancel", json={})).status_code in {200, 202, 409}


async def test_a_page_shows_the_messages_of_its_agent_alone(pages: Pages) -> None:
    for name in (pages.one, pages.two):
        await (await pages.hive.agent(name)).post("/v1/messages", json={"to": "operator", "body": f"of {name}"})
    client = await pages.client(pages.one, await pages.token(pages.one))
    for path in ("/api/state", "/api/messages", f"/api/messages?agent={pages.two}&from={pages.two}"):
        assert [message["body"] for message in (await client.get(path)).json()["messages"]] == [f"of {pages.one}"]


async def test_a_page_follows_its_agent_alone(pages: Pages) -> None:
    client = await pages.client(pages.one, await pages.token(pages.one))
    state = (await client.get("/api/state")).json()
    for name in (pages.two, pages.one):
        agent = await pages.hive.agent(name)
        event = {"n": 1, "at": "2026-01-01T00:00:00Z", "kind": "text", "data": {"text": f"of {name}"}}
        await agent.post("/v1/events", json={"instance": "x", "events": [event]})
        await agent.post("/v1/messages", json={"to": "operator", "body": f"of {name}"})
        await agent.post("/v1/report", json={"statusText": f"of {name}"})
    seen: list[dict[str, Any]] = []
    query = f"/api/stream?since={state['seq']}&epoch={state['epoch']}"
    async with asyncio.timeout(DEADLINE), client.stream("GET", query) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
                if seen[-1]["type"] == "agent" and seen[-1]["data"].get("statusText"):
                    break
    assert {change["type"] for change in seen} == {"event", "message", "agent"}
    assert pages.two not in json.dumps(seen)


async def test_each_route_on_the_list_is_one_of_the_apis(pages: Pages) -> None:
    client = await pages.client(pages.one, await pages.token(pages.one))
    # What asks a harness is refused at once then.
    assert (await (await pages.hive.operator()).post(f"/api/agents/{pages.one}/stop")).is_success
    for path, methods in PAGE_ROUTES.items():
        for method in methods:
            async with client.stream(method, f"/api/{path}", json={"nonsense": 1}) as answer:
                code = "" if answer.is_success else json.loads(await answer.aread())["error"]["code"]
            assert code not in {"not_found", "method_not_allowed", "bad_token", "internal"}, (method, path)


async def test_a_page_has_the_questions_that_its_agent_asked(pages: Pages) -> None:
    for name in (pages.one, pages.two):
        await (await pages.hive.agent(name)).post("/v1/questions", json={"text": f"of {name}"})
    state = (await (await pages.client(pages.one, await pages.token(pages.one))).get("/api/state")).json()
    assert [question["text"] for question in state["questions"]] == [f"of {pages.one}"]


async def test_nothing_is_open_without_the_token(pages: Pages) -> None:
    client = await pages.client(pages.one)
    for path, methods in PAGE_ROUTES.items():
        for method in methods:
            assert (await client.request(method, f"/api/{path}", json={})).status_code == 401, path


async def test_ten_wrong_tokens_are_enough_and_the_right_one_is_never_limited(pages: Pages) -> None:
    port, right = web_port(pages.one), await pages.token(pages.one)
    assert [await raw(port, "/api/state", f"wrong{n}") for n in range(12)] == [401] * 10 + [429] * 2
    assert await raw(port, "/api/state", right) == 200
    assert await raw(web_port(pages.two), "/api/state", "wrong") == 401


async def test_a_token_is_for_one_page(pages: Pages) -> None:
    one, two = await pages.token(pages.one), await pages.token(pages.two)
    assert one != two
    assert await raw(web_port(pages.two), "/api/state", one) == 401
    assert await raw(web_port(pages.one), "/api/state", pages.hive.token) == 401
    for path in ("/api/state", f"/api/agents/{pages.one}/state", f"/api/agents/{pages.one}/events", "/metrics"):
        assert await raw(pages.hive.ready.port, path, one) == 401
    assert one not in (pages.hive.place / "state" / "page-key").read_text(errors="replace")


@pytest.mark.parametrize(
    "target",
    [
        "/api/agents",
        "/api/agents/{two}/state",
        "/api/agents/{two}/events",
        "/api/agents/{one}/state",
        "/api/audit",
        "/api/journal",
        "/api/config",
        "/api/page-url",
        "/api/dashboard-url",
        "/api/start",
        "/api/destroy",
        "/api/questions",
        "/api/questions/1/answer",
        "/api/approvals/1/approve",
        "/api/waiting/x/dismiss",
        "/api/operations",
        "/api/login",
        "/api/login/",
        "/api/state/",
        "/agents/{one}/",
        "/agents/{two}/",
        "/openapi.json",
        "/metrics",
        "/healthz",
        "/docs",
        # and spelled in other ways
        "//",
        "//api/state",
        "/api//state",
        "/api/./state",
        "/api/../api/state",
        "/api/../agents/{two}/state",
        "/api/state/../../agents",
        "/api/%2e%2e/agents/{two}/state",
        "/api%2fstate",
        "/api/%73tate",
        "/api/login%2fstart",
        "/API/state",
        "/api/State",
        "/api/state;x",
        "/api/state%00",
        "/api/state%20",
        "/static/../api/agents",
        "/static/..%2f..%2fgates.py",
        "/static/../agent.html",
        "/%2e%2e/api/state",
        "/api/agents/{two}/../{one}/state",
        "/api\\state",
    ],
)
async def test_what_is_not_on_the_list_is_refused_with_the_right_token(pages: Pages, target: str) -> None:
    where = target.format(one=pages.one, two=pages.two)
    token = await pages.token(pages.one)
    for method in ("GET", "POST"):
        assert await raw(web_port(pages.one), where, token, method=method) in {404, 405}, method
    for method in ("GET", "POST"):
        assert await raw(web_port(pages.one), where, method=method) in {401, 404, 405}, method


async def test_a_route_takes_no_other_method(pages: Pages) -> None:
    token = await pages.token(pages.one)
    for method, path in [("POST", "state"), ("GET", "cancel"), ("DELETE", "messages"), ("PUT", "model")]:
        assert await raw(web_port(pages.one), f"/api/{path}", token, method=method) == 405


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "", "localhost:1:2"],
)
async def test_under_another_name_nothing_is_served(pages: Pages, host: str) -> None:
    port = web_port(pages.one)
    given = host.format(port=port)
    for target in ("/", "/api/state", "/static/page.js"):
        assert await raw(port, target, await pages.token(pages.one), host=given) == 403


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST", "hive.example"])
async def test_under_its_names_it_is_served(pages: Pages, host: str) -> None:
    port = web_port(pages.one)
    assert await raw(port, "/api/state", await pages.token(pages.one), host=host.format(port=port)) == 200


# --- ports come and go with agents


async def test_a_destroyed_agent_has_no_port_and_a_revived_one_has_it_again(pages: Pages) -> None:
    operator, port = await pages.hive.operator(), web_port(pages.one)
    before = await pages.token(pages.one)
    assert (await operator.post(f"/api/agents/{pages.one}/destroy")).json()["status"] == "done"

    async def is_free() -> bool:
        return not is_taken(port)

    async def is_ours() -> bool:
        return is_taken(port)

    await until(is_free)
    assert is_taken(web_port(pages.two))
    assert (await operator.post(f"/api/tombstones/{pages.one}/revive")).json()["status"] == "done"
    await until(is_ours)
    assert await raw(port, "/api/state", before) == 200


async def test_ports_follow_new_settings_and_leave_nothing_behind() -> None:
    name, other, taken = free_names(3)
    with short_place() as place, socket.create_server(("127.0.0.1", web_port(taken))):
        async with life(place, {name: {}, taken: {}}, dashboard=PAGES) as hive:

            async def moved() -> bool:
                return is_taken(web_port(other)) and not is_taken(web_port(name))

            assert is_taken(web_port(name))
            await hive.reload({other: {}, taken: {}}, dashboard=PAGES)
            await until(moved)
            # One that had none yet is not waited for any more; the end of the block looks for what is left.
            await hive.reload({other: {}}, dashboard=PAGES)

            async def quiet() -> bool:
                warnings = (await hive.operator.ask("GET", "/api/state"))["warnings"]
                return not [text for text in warnings if taken in text]

            await until(quiet)
            await hive.reload({other: {}, taken: {}}, dashboard=PAGES)
            await hive.watch.agent(taken, portProblem=f"port {web_port(taken)} is taken by this hive itself")


async def test_an_open_stream_ends_with_its_agent(pages: Pages) -> None:
    client = await pages.client(pages.one, await pages.token(pages.one))
    async with asyncio.timeout(DEADLINE), client.stream("GET", "/api/stream") as answer:
        await (await pages.hive.operator()).post(f"/api/agents/{pages.one}/destroy")
        said = ""
        try:
            async for text in answer.aiter_text():
                said += text
        except httpx.RemoteProtocolError:
            pass  # cut off, after what there was to say
    assert '"removed":true' in said


async def test_a_port_that_somebody_else_has_is_said_waited_for_and_had() -> None:
    name, other = free_names(2)
    with short_place() as place:
        taken = socket.create_server(("::1", web_port(name)), family=socket.AF_INET6)
        try:
            async with running_hive(place, {name: {}, other: {}}, dashboard=PAGES) as hive, AsyncExitStack() as clients:
                pages = Pages(hive, [name, other], clients)
                (warning,) = hive.ready.warnings
                row = await pages.row(name)
                assert f"port {web_port(name)} is taken by" in warning
                assert name in warning
                assert row["portProblem"] in warning
                assert row["problem"] is None
                assert row["url"] == f"http://localhost:{hive.ready.port}/agents/{name}/"
                # No token goes to a port that is another's.
                assert await pages.url(name) == f"{row['url']}#token={hive.token}"
                assert is_taken(web_port(other))
                taken.close()

                async def is_had() -> bool:
                    return (await pages.row(name))["portProblem"] is None

                await until(is_had)
                assert (await (await hive.operator()).get("/api/state")).json()["warnings"] == []
                assert await raw(web_port(name), "/api/state", await pages.token(name)) == 200
        finally:
            taken.close()


async def test_a_restart_keeps_ports_and_tokens() -> None:
    (name,) = free_names(1)
    with short_place() as place:
        async with hive_process(place) as hive:
            tokens = []
            for number in (signal.SIGKILL, signal.SIGTERM):
                await hive.start({name: {}}, dashboard=PAGES)
                async with over(hive.host_socket) as operator:
                    url = (await operator.get(f"/api/agents/{name}/page-url")).json()["url"]
                tokens.append(url.partition("#token=")[2])
                assert await raw(web_port(name), "/api/state", tokens[-1]) == 200
                await hive.end(number)
            assert tokens[0] == tokens[1]
            (place / "state" / "page-key").unlink()
            await hive.start({name: {}}, dashboard=PAGES)
            assert await raw(web_port(name), "/api/state", tokens[0]) == 401
            assert "Traceback" not in hive.text()


async def test_with_systemd_ports_are_kept_adopted_and_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    name, other, gone = free_names(3)
    kept = {kept_name(one): one for left in (name, gone) for one in bind_tcp_now(web_port(left))}
    adopted = kept[f"tcp-{web_port(name)}-v4"]
    said: list[str] = []
    monkeypatch.setattr(systemd, "kept", lambda: kept)
    monkeypatch.setattr(systemd, "keep", lambda _listener, label: said.append(f"keep {label}"))
    monkeypatch.setattr(systemd, "forget", lambda label: said.append(f"forget {label}"))
    with short_place() as place:
        async with running_hive(place, {name: {}, other: {}}, dashboard=PAGES) as hive:
            both = {f"{family}" for family in ("v4", "v6")}
            assert {f"forget tcp-{web_port(gone)}-{family}" for family in both} <= set(said)
            assert {f"keep tcp-{web_port(other)}-{family}" for family in both} <= set(said)
            assert not [text for text in said if str(web_port(name)) in text]
            assert adopted.fileno() >= 0
            assert is_taken(web_port(name))
            assert not is_taken(web_port(gone))
            assert kept == {}
            await (await hive.operator()).post(f"/api/agents/{name}/destroy")
            assert {f"forget tcp-{web_port(name)}-{family}" for family in both} <= set(said)
