"""From inside an agent's sandbox: with all that it can read and reach, nobody else's page opens, nor the operator's."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hive_bed import over, settings_json, short_place
from pages_bed import PAGES, free_names
from runtime_bed import make_runtime, written

from hyperhive.config_file import parse_settings
from hyperhive.errors import HiveError
from hyperhive.hive.daemon import Ready, run
from hyperhive.names import web_port
from hyperhive.runtime.bubblewrap import probe
from hyperhive.runtime.owners import this_hive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Reads every word that could be a token, tries each at every port that listens here, and speaks to its own socket.
_ATTACK = r"""
import glob, http.client, json, os, re, socket, time

def words():
    found = {"", "operator"}
    places = ["/proc/self/environ", *glob.glob("/proc/[0-9]*/environ"), *glob.glob("/proc/[0-9]*/cmdline")]
    for top in (os.environ["HIVE_STATE"], os.environ["HIVE_SHARED"], os.environ["CLAUDE_CONFIG_DIR"], "/run", "/tmp"):
        for directory, _, files in os.walk(top):
            places += [os.path.join(directory, name) for name in files]
    for place in places:
        try:
            if os.path.isfile(place) or place.startswith("/proc"):
                with open(place, "rb") as file:
                    found |= set(re.findall(r"[A-Za-z0-9_-]{32,}", file.read(1_000_000).decode("latin-1")))
        except OSError:
            pass
    return sorted(found)

def ask(line, method, path, token="", host="localhost", body={}):
    headers = {"Host": host, "Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    try:
        line.request(method, path, body=json.dumps(body) if method == "POST" else None, headers=headers)
        answer = line.getresponse()
        return [answer.status, answer.read(100_000).decode("latin-1")]
    except (OSError, http.client.HTTPException) as error:
        return [0, str(error)]

def at(port):
    return http.client.HTTPConnection("127.0.0.1", port, timeout=20)

class Own(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["HIVE_SOCKET"])

TASK = json.load(open(os.environ["HIVE_STATE"] + "/task.json"))
me, other = TASK["me"], TASK["other"]
BODIES = {"answer": {"text": "yes"}, "approve": {}, "deny": {"reason": "no"}, "agents": {"name": "mine"},
          "budget": {"today": {"usd": 1000}}, "spawn-requests": {"name": "mine"}}
asked = ask(Own("hive"), "POST", "/v1/questions", body={"text": "May I?"})
number = json.loads(asked[1])["id"]
answers = []
for word in words():
    for port in TASK["ports"]:
        for method, path in [
            ("GET", "/api/state"), ("GET", "/api/events"), ("GET", "/api/messages"), ("POST", "/api/messages"),
            ("GET", f"/api/agents/{other}/events"), ("GET", f"/api/agents/{other}/journal"),
            ("GET", f"/api/agents/{other}/state"), ("GET", f"/api/agents/{me}/page-url"), ("GET", "/api/dashboard-url"),
            ("POST", f"/api/questions/{number}/answer"),
            ("GET", "/api/approvals"), ("POST", f"/api/approvals/{TASK['approval']}/approve"),
            ("POST", f"/api/approvals/{TASK['approval']}/deny"), ("POST", "/api/agents"), ("POST", "/api/budget"),
            ("POST", f"/api/agents/{other}/stop"), ("GET", f"/api/agents/{other}/journal/stream"),
        ]:
            body = BODIES.get(path.rpartition("/")[2], {"body": "yes"})
            answers.append([port, method, path, *ask(at(port), method, path, word, body=body)])
for path in ["/api/state", "/api/dashboard-url", f"/api/agents/{other}/events", f"/api/agents/{me}/page-url",
             "/agents/", "/v1/../api/state", f"/api/questions/{number}/answer", f"/v1/questions/{number}/answer",
             f"/api/approvals/{TASK['approval']}/approve", f"/v1/approvals/{TASK['approval']}/approve",
             "/v1/spawn-requests", "/v1/config-proposals", f"/v1/agents/{other}/stop", f"/v1/agents/{other}/logs"]:
    for method in ("GET", "POST"):
        body = BODIES.get(path.rpartition("/")[2], {"text": "yes"})
        answers.append(["socket", method, path, *ask(Own("hive"), method, path, body=body)])
pages = [ask(at(port), "GET", path)[1] for port in TASK["ports"] for path in ("/", f"/agents/{other}/")]

def bound(port, host, family):
    with socket.socket(family) as mine:
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            mine.bind((host, port))
            mine.listen()
            return True
        except OSError:
            return False

held = [[port, host, bound(port, host, family)] for port in TASK["ports"]
        for host, family in (("127.0.0.1", socket.AF_INET), ("0.0.0.0", socket.AF_INET), ("::1", socket.AF_INET6))]
peeked = [name for name in TASK["files"] if os.path.exists(name)]
whole = json.dumps({"answers": answers, "pages": pages, "held": held, "peeked": peeked, "words": words()})
with open(os.environ["HIVE_STATE"] + "/answer", "w") as pipe:
    pipe.write(whole)
time.sleep(1000)
"""


async def _from_inside(place: Path) -> tuple[dict[str, Any], dict[str, str], list[tuple[str, str]]]:
    """What an agent found out, the secrets that it should not know, and what became of the question that it asked."""
    me, other, wanted = free_names(3)
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    agents: dict[str, Any] = {me: {"autoStart": False}, other: {"autoStart": False}}
    settings = parse_settings(settings_json(place, agents, dashboard=PAGES))
    task = asyncio.create_task(run(settings, runtime=make_runtime("bubblewrap"), on_ready=ready.set_result))
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        port = (await ready).port
        state = place / "state" / "agents" / me / "state"
        state.mkdir(parents=True, exist_ok=True)
        secret = [
            str(place / "state" / name) for name in ("operator-token", "page-key", "hive.sqlite", "run/host.sock")
        ]
        ports = [port, web_port(me), web_port(other)]
        async with over((await ready).host_socket) as operator:
            approval = (await operator.post("/api/spawn-requests", json={"name": wanted})).json()["id"]
        task_of = {"me": me, "other": other, "ports": ports, "files": secret, "approval": approval}
        (state / "task.json").write_text(json.dumps(task_of))
        (state / "program.py").write_text(_ATTACK)
        for file in state.iterdir():
            file.chmod(0o644)  # the agent has a uid of its own
        os.mkfifo(state / "answer")
        (state / "answer").chmod(0o666)
        async with over((await ready).host_socket) as operator:
            await operator.post("/api/messages", json={"to": other, "body": "a secret of the other's"})
            await operator.post(f"/api/agents/{me}/start")
            async with asyncio.timeout(240):
                found: dict[str, Any] = json.loads(await written(state / "answer"))
            urls = [(await operator.get(f"/api/agents/{name}/page-url")).json()["url"] for name in (me, other)]
            asked = (await operator.get("/api/questions")).json()["questions"]
            left = (await operator.get("/api/approvals")).json()["approvals"]
            members = {row["name"] for row in (await operator.get("/api/agents")).json()["agents"]}
            assert ([row["status"] for row in left], members & {"mine", wanted}) == (["pending"], set())
            tokens = {url.partition("#token=")[2]: url for url in urls}
        tokens[(place / "state" / "operator-token").read_text().strip()] = "operator"
        return found, tokens, [(question["text"], question["status"]) for question in asked]
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.timeout(300)
async def test_an_agent_opens_no_page_and_no_part_of_the_operators_api(
    require_tier: Callable[..., None],
) -> None:
    try:
        probe(this_hive())
    except HiveError as error:
        require_tier("bubblewrap", available=False, why=str(error))
    with short_place() as place:
        found, secrets, questions = await _from_inside(place)
    assert len(secrets) == 3
    assert not secrets.keys() & set(found["words"])
    assert found["peeked"] == []
    statuses = {status for _port, _method, _path, status, _body in found["answers"]}
    assert statuses <= {401, 403, 404, 405, 429}, [answer for answer in found["answers"] if answer[3] < 400]
    assert questions == [("May I?", "open")]
    assert len(found["answers"]) > 60
    told = json.dumps([found["answers"], found["pages"]])
    assert "a secret of the other's" not in told
    assert not [secret for secret in secrets if secret in told]
    # Nobody sits where an open tab's page comes from.
    assert [place for place in found["held"] if place[2]] == []
