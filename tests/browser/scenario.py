"""What the stand-in shows: a swarm with something of everything, and texts that try what must not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from api_rows import agent, at, tombstone

if TYPE_CHECKING:
    from stand_in import Hive

SCRIPT: Final = (
    '<script>window.executed=1;alert(1)</script><img src=x onerror="window.executed=1">'
    "<iframe srcdoc='<script>parent.executed=1</script>'></iframe>"
)
ANSI: Final = "\x1b[31mred\x1b[0m \x1b]8;;http://example.invalid\x07link\x1b]8;;\x07 bell\x07 nul\x00 del\x7f c1\x9b31m"
BIDI: Final = "safe \u202egnp.exe\u202c and \u2066isolated שלום without an end, then مرحبا \u200f right"
LONG_LINE: Final = "x" * (60 * 1024)
HTM: Final = "${alert(1)} {{7*7}} </textarea></script> &lt;b&gt; javascript:alert(1) [link](javascript:alert(1))"
HOSTILE: Final = (SCRIPT, ANSI, BIDI, LONG_LINE, HTM)


PATCH: Final = """diff --git a/agent.nix b/agent.nix
index 3b18e51..9a2c7f0 100644
--- a/agent.nix
+++ b/agent.nix
@@ -1,4 +1,5 @@
 { pkgs, ... }:
 {
-  environment.systemPackages = [ pkgs.git ];
+  environment.systemPackages = [ pkgs.git pkgs.ffmpeg ];
+  time.timeZone = "Europe/Berlin";
 }
"""


def propose(hive: Hive) -> None:
    """Two approvals that wait: a new agent, and a change that was built."""
    spec = {"description": None, "model": "opus", "prompt": f"You look after the documentation. {SCRIPT}"}
    hive.propose("spawn", "docs", spec=spec, description="The manual is behind, and nobody has time for it.")
    build = {
        "status": "ok",
        "log": "building ffmpeg...\ndone\n",
        "system": "/nix/store/aaaa-nixos-system",
        "sizeBytes": 1_900_000_000,
        "units": ["hyperhive-harness.service"],
    }
    hive.propose(
        "apply",
        "alice",
        commit="9a2c7f0" * 5 + "12345",
        base="3b18e51" * 5 + "12345",
        diff=PATCH,
        closureDiff="ffmpeg: ∅ → 7.1, +52000.0 KiB",
        build=build,
        description="alice needs ffmpeg to bisect its build.",
    )


def populate(hive: Hive) -> None:
    """A swarm with something of everything, hostile texts included."""
    hive.warnings = ["Runtime bubblewrap: agents share the host's network; limits of memory are not enforced here."]
    turn = {"endedAt": at(minutes=4), "ok": True, "durationMs": 42_300, "note": None}
    failed = {"endedAt": at(minutes=21), "ok": False, "durationMs": 3100, "note": "claude ended with code 1"}
    for row in (
        agent(
            "manager",
            "idle",
            role="manager",
            model="opus",
            lastTurn=turn,
            statusText="Watching the release",
            usage={"turns": 31, "inputTokens": 5200, "outputTokens": 48_000, "costUsd": 1.94, "contextTokens": 45_210},
        ),
        agent("alice", "thinking", since=at(seconds=47), unread=2, statusText="Bisecting the failing build of ffmpeg"),
        agent("bob", "needs_login", since=at(hours=2, minutes=12), unread=5),
        agent("carol", "stopped", since=at(days=1, hours=3), lastTurn=turn, model="haiku"),
        agent("dave", "failed", since=at(minutes=20), lastTurn=failed, problem=f"exit code 1: {SCRIPT} {ANSI}"),
        agent("erin", "rate_limited", statusText=BIDI, lastTurn=turn),
        agent("frank", "compacting", since=at(seconds=9), lastTurn=turn),
        agent("grace", "unreachable", problem="no command poll for 15 s", model="claude-sonnet-4-5-20250929"),
    ):
        hive.agents[row["name"]] = row
    done = {"state": "settled", "outcome": "settled", "settledAt": at(minutes=1), "deliveries": 1}
    hive.arrive(
        "operator", "manager", "Please get 2.4 out today. Tell me when something blocks.", sentAt=at(hours=26), **done
    )
    hive.arrive(
        "manager",
        "alice",
        "The build of ffmpeg fails since this morning. Find the commit.\n\n- start at `nixos-unstable`\n- do not push",
        sentAt=at(minutes=16),
        **done,
    )
    hive.arrive("alice", "manager", "On it.", sentAt=at(minutes=15), inReplyTo=2, **done)
    for name in ("alice", "bob", "carol"):
        more = done if name == "alice" else {"deliveries": 0}
        hive.arrive(
            "operator",
            name,
            "Freeze from noon: nothing is pushed until the release is out.",
            sentAt=at(minutes=12),
            broadcastId=4,
            **more,
        )
    hive.arrive("dave", "alice", SCRIPT, sentAt=at(minutes=10), **done)
    hive.arrive("dave", "alice", ANSI, sentAt=at(minutes=9), **done)
    hive.arrive("erin", "alice", BIDI, sentAt=at(minutes=8), **done)
    hive.arrive("dave", "operator", LONG_LINE, sentAt=at(minutes=7))
    hive.arrive("dave", "alice", HTM, sentAt=at(minutes=6), **done)
    hive.arrive(
        "manager",
        "dave",
        "Run the smoke test on the new image.",
        sentAt=at(minutes=21),
        deadLetter=True,
        state="dead",
        deliveries=5,
        reason="the turn failed 5 times: claude ended with code 1",
    )
    hive.arrive(
        "alice", "bob", "\n".join(f"{n:3} | drivers/net/ethernet/{n}.c" for n in range(1, 80)), sentAt=at(minutes=4)
    )
    hive.arrive(
        "manager",
        "operator",
        "ffmpeg blocks 2.4. alice has it down to 12 commits, an hour at most.\n\nShall I hold the announcement?",
        sentAt=at(minutes=2),
    )
    hive.arrive("manager", "alice", "How far are you?", sentAt=at(seconds=47), deliveries=1, state="held")
    hive.waiting = [
        {
            "id": "crash-erin",
            "kind": "crash",
            "agent": "erin",
            "since": at(hours=3, minutes=5),
            "title": "erin crashed: its process ended with signal 9",
            "ref": 1,
        },
        {
            "id": "w1",
            "kind": "needs_login",
            "agent": "bob",
            "since": at(hours=2, minutes=12),
            "title": "bob is not logged in",
            "ref": "bob",
        },
        {
            "id": "w2",
            "kind": "dead_letter",
            "agent": "dave",
            "since": at(minutes=20),
            "title": "A message from manager was given up after 5 failed turns",
            "ref": 12,
        },
        {
            "id": "w3",
            "kind": "failed",
            "agent": "dave",
            "since": at(minutes=20),
            "title": "dave failed: exit code 1",
            "ref": "dave",
        },
    ]
    hive.ask(
        "manager",
        "Which channel gets 2.4 first?",
        options=["stable", "unstable", "both at once"],
        askedAt=at(minutes=11),
        deadline=at(minutes=-49),
        default="unstable",
    )
    hive.tombstones = [
        tombstone("zed", since=at(days=2), unread=3),
        tombstone("old-ci", since=at(days=9), hasLogin=False, sizeBytes=2048, declared=True),
    ]
    for action, subject in (("start", "alice"), ("destroy", "zed"), ("requeue", "message 7"), ("model", "manager")):
        hive.decide(action, subject)
    hive.journals["alice"] = [f"Nov 22 12:00:{n % 60:02} harness[1]: line {n}" for n in range(300)]
    log: list[tuple[str, dict[str, Any]]] = [
        ("session_new", {"text": "a new session"}),
        ("turn_start", {"from": "manager", "body": "The build of ffmpeg fails. Find the commit.", "unread": 1}),
        ("thinking", {"text": "The last green build was yesterday. I look at the inputs that changed since."}),
        ("text", {"text": "I will bisect between yesterday's channel and today's."}),
        ("tool_call", {"id": "t1", "name": "Bash", "input": {"command": "git log --oneline | head -40", "timeout": 9}}),
        ("tool_result", {"id": "t1", "content": "\n".join(f"{n:07x} package {n}: update" for n in range(1, 41))}),
        ("tool_call", {"id": "t2", "name": "mcp__hyperhive__send", "input": {"to": "manager", "body": "On it."}}),
        ("tool_result", {"id": "t2", "content": "accepted as message 3"}),
        ("stderr", {"text": "warning: Git tree is dirty"}),
        ("turn_end", {"ok": True, "durationMs": 42_300, "usage": {"outputTokens": 1834, "costUsd": 0.0421}}),
        ("turn_start", {"from": "manager", "body": "How far are you?", "unread": 2}),
        ("text", {"text": SCRIPT + ANSI}),
        ("tool_call", {"id": "t3", "name": "Bash", "input": {"command": "nix build .#ffmpeg -L 2>&1 | tail -40"}}),
        ("tool_result", {"id": "t3", "content": LONG_LINE, "isError": True}),
        ("tool_call", {"id": "t4", "name": "Bash", "input": {"command": "git bisect bad && nix build .#ffmpeg"}}),
        ("tool_result", {"id": "t4", "content": "ok"}),
        (
            "tool_call",
            {
                "id": "t5",
                "name": "Edit",
                "input": {
                    "file_path": "/state/bisect.md",
                    "old_string": "good: 12\nbad: 3\nleft: 9",
                    "new_string": "good: 12\nbad: 4\nnext: 4f2a\nleft: 8",
                },
            },
        ),
        ("tool_result", {"id": "t5", "content": "The file /state/bisect.md has been updated."}),
    ]
    for kind, data in log:
        hive.happen("alice", kind, data)
