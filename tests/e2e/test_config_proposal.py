"""The manager changes an agent's configuration: commits, asks, is denied with a reason, reads it in git, asks again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm import Swarm, swarm

if TYPE_CHECKING:
    from pathlib import Path

    from hyperhive.shapes import ApprovalRow

_COMMIT = "git commit --quiet --all --message 'jq for alice' && git rev-parse HEAD"
_FIRST = "{ pkgs, ... }: { environment.systemPackages = [ pkgs.jq pkgs.nmap ]; }"
_SECOND = "{ pkgs, ... }: { environment.systemPackages = [ pkgs.jq ]; }"
_SCENARIO = {
    "agents": {
        "manager": {
            "rules": [
                {
                    "when": r"Message from operator:\nGive alice jq. (?P<place>\S+)",
                    "steps": [
                        {
                            "tool": "Bash",
                            "input": {"command": f"(cd {{place}} && echo '{_FIRST}' > agent.nix && {_COMMIT})"},
                        },
                        {
                            "tool": "request_apply_commit",
                            "input": {"agent": "alice", "commit": "{tool_result}", "description": "jq for alice"},
                        },
                        {"tool": "send", "input": {"to": "operator", "body": "asked: {tool_result}"}},
                    ],
                },
                {
                    "when": r"Message from operator:\nMend it. (?P<place>\S+)",
                    "steps": [
                        {"tool": "Bash", "input": {"command": "(cd {place} && git pull --quiet && git show denied/1)"}},
                        {"tool": "send", "input": {"to": "operator", "body": "read: {tool_result}"}},
                        {
                            "tool": "Bash",
                            "input": {"command": f"(cd {{place}} && echo '{_SECOND}' > agent.nix && {_COMMIT})"},
                        },
                        {"tool": "request_apply_commit", "input": {"agent": "alice", "commit": "{tool_result}"}},
                        {"tool": "send", "input": {"to": "operator", "body": "again: {tool_result}"}},
                    ],
                },
            ],
            "otherwise": ["Noted."],
        },
        "alice": {"otherwise": ["Hello."]},
    }
}


async def _pending(up: Swarm, number: int) -> ApprovalRow:
    await up.until(lambda e: e.type == "approval" and e.data["id"] == number and e.data["status"] == "pending")
    async with up.client() as client:
        return next(row for row in await client.approvals() if row.id == number)


async def test_a_commit_is_asked_for_denied_mended_and_put_in(tmp_path: Path, runtime: str) -> None:
    place = "/agents" if runtime == "bubblewrap" else str(tmp_path / "state" / "proposed")
    async with (
        swarm(tmp_path, _SCENARIO, runtime=runtime, agents={"alice": {}}, manager=True) as up,
        up.client() as client,
    ):
        await client.send("manager", f"Give alice jq. {place}/alice/config")
        said = await up.message_to_operator("asked:")
        assert "Approval 1: commit" in said["body"]
        first = await _pending(up, 1)
        assert first.diff is not None
        assert "+" + _FIRST in first.diff
        assert first.description == "jq for alice"
        await client.deny(1, "no nmap, please")
        # By then the denial stands in git.
        await up.until(
            lambda e: e.type == "message" and e.data["to"] == "manager" and "approval_resolved" in e.data["body"]
        )

        await client.send("manager", f"Mend it. {place}/alice/config")
        assert "no nmap, please" in (await up.message_to_operator("read:"))["body"]
        second = await _pending(up, 2)
        assert second.commit != first.commit
        await client.approve(2, commit=second.commit)
        await up.until(lambda e: e.type == "approval" and e.data["id"] == 2 and e.data["status"] == "deployed")
        shown = await client.config("alice")
        assert [(file.path, file.text) for file in shown.files] == [("agent.nix", _SECOND + "\n")]
