"""Signing an agent in from the operator's side: the real `claude auth login`, a stand-in for the hosts behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sign_in_hosts import ACCESS_TOKEN, SignInHosts, code_for
from swarm import swarm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCENARIO = {"agents": {"alice": {"otherwise": [{"tool": "send", "input": {"to": "operator", "body": "42"}}]}}}


def _login(*phases: str) -> Callable[[Any], bool]:
    return lambda e: e.type == "agent" and (e.data.get("login") or {}).get("phase") in phases


async def test_an_agent_without_a_login_is_signed_in_and_goes_on(tmp_path: Path) -> None:
    async with SignInHosts(tmp_path) as hosts:
        # Of this directory an agent sees its own part only, so the certificate is put there.
        certificate = tmp_path / "state" / "agents" / "alice" / "state" / "ca.pem"
        changed = {"ANTHROPIC_API_KEY": "", "NODE_EXTRA_CA_CERTS": str(certificate)}
        defaults = {"environment": {**hosts.environment, **changed}}
        async with (
            swarm(tmp_path, SCENARIO, runtime="process", agents={"alice": {}}, defaults=defaults) as hive,
            hive.client() as client,
        ):
            await hive.agent_state("alice", "needs_login")
            certificate.write_bytes((tmp_path / "ca.pem").read_bytes())
            certificate.chmod(0o644)
            await client.send("alice", "What is six times seven?")
            await client.login_start("alice")
            shown = (await hive.until(_login("link", "failed"))).data["login"]
            assert shown["phase"] == "link", shown
            code = code_for(shown["url"])
            await client.login_code("alice", code)
            end = (await hive.until(_login("done", "failed"))).data["login"]
            assert (end["phase"], end["url"]) == ("done", None), end
            await hive.message_to_operator("42")
            assert [entry.action for entry in await client.audit()][:2] == ["login-code", "login-start"]
        # It has ended: no file comes or goes any more.
        kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
        assert not [path for path in kept if code.encode() in path.read_bytes()]
        assert [path.name for path in kept if ACCESS_TOKEN.encode() in path.read_bytes()] == [".credentials.json"]
