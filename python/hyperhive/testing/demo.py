"""The story of `hyperhive demo`: what alice, bob and carol do when the operator asks for a release.

They plan, write a small tool, find a mistake in it, mend it and report, with real files in the shared directory and
real messages. Afterwards, or in between, each has a few canned answers for whatever the operator writes. The directory
travels in the messages, as it has another name in each runtime.
"""

from __future__ import annotations

from typing import Any, Final

Step = dict[str, Any]

#: Which agents there are, and what their prompts say.
AGENTS: Final = {
    "alice": "You lead the work on releases: you plan, hand out work, and report to the operator.",
    "bob": "You write code.",
    "carol": "You test what others wrote.",
}
#: In alice's last message of the story, and in no other.
THE_END: Final = "Release 0.1 is ready"

#: Makes the pauses long enough to read along: the story takes about two minutes.
_CALM: Final = 4.0

_PLAN: Final = """\
mkdir -p "{dir}" && cat > "{dir}/plan.md" <<'END'
# Release 0.1
- [ ] greet, a shell script (bob)
- [ ] tests for it (carol)
- [ ] release notes (alice)
END
cat "{dir}/plan.md" """
_GREET: Final = '#!/bin/sh\n# Greets whoever is named.\necho "Hello, $1!"\n'
_MENDED: Final = """\
cat > "{dir}/greet" <<'END'
#!/bin/sh
# Greets whoever is named, or else the world.
echo "Hello, ${1:-world}!"
END
sh "{dir}/greet" """
_TESTS: Final = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 1
failed=0
check() {
  got=$(sh ./greet $1)
  if [ "$got" = "$2" ]; then echo "ok: $2"; else echo "FAILED: wanted '$2', got '$got'"; failed=1; fi
}
check Ada "Hello, Ada!"
check "" "Hello, world!"
exit $failed
"""
_NOTES: Final = """\
cd "{dir}" && sed -i 's/\\[ \\]/[x]/' plan.md && cat > RELEASE.md <<'END'
# greet 0.1
Greets whoever is named, or else the world. Written by bob, tested by carol.
END
echo "Release 0.1 of greet is done; the operator has to say whether to announce it." >> "$OLDPWD/notes.md"
ls"""


def kick_off(shared: str) -> str:
    """The operator's message to alice that begins the story; `shared` is the shared directory as agents see it."""
    return (
        "Good morning! Please make release 0.1 of our little tool greet. bob can write it and carol can test it. "
        f'Work in "{shared}/release" and tell me when it is ready.'
    )


def scenario(speed: float = 1.0) -> dict[str, Any]:
    """The script of the three, for `ScriptedModel`; with `speed` 2 all pauses are half as long."""
    tempo = _Tempo(speed)
    scripts = {"alice": _alice(tempo), "bob": _bob(tempo), "carol": _carol(tempo)}
    return {
        "agents": {
            name: {
                "rules": [*rules, *_small_talk(tempo)],
                "otherwise": [tempo.pause(0.5), "Noted. There is nothing for me to do."],
            }
            for name, rules in scripts.items()
        }
    }


class _Tempo:
    """Makes the steps that take time."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def pause(self, seconds: float) -> Step:
        return {"delay": _CALM * seconds / self._speed}

    def think(self, text: str) -> Step:
        return {"thinking": text, "chunk": 8, "pace": 0.12 / self._speed}

    def say(self, text: str) -> Step:
        return {"text": text, "chunk": 8, "pace": 0.08 / self._speed}


def _send(to: str, body: str) -> Step:
    return {"tool": "send", "input": {"to": to, "body": body}}


def _status(text: str) -> Step:
    return {"tool": "set_status", "input": {"text": text}}


def _bash(command: str, description: str) -> Step:
    return {"tool": "Bash", "input": {"command": command, "description": description}}


def _from(sender: str, pattern: str) -> str:
    return rf"(?s)\nMessage from {sender}:\n.*{pattern}"


_DIR: Final = r'"(?P<dir>[^"]+)"'


def _alice(t: _Tempo) -> list[dict[str, Any]]:
    plan = [
        t.think("A release: bob writes, carol tests, I plan and report. First the plan, so that all see the same."),
        _status("planning release 0.1"),
        t.pause(2),
        _bash(_PLAN, "Write the plan"),
        t.pause(2),
        _send(
            "bob", 'Please write greet, a shell script that greets whoever is named, in "{dir}". Tell me when it runs.'
        ),
        _send("carol", 'bob is writing greet. Please prepare tests for it in "{dir}", and tell me what you find.'),
        t.say("The work is handed out. Their answers will wake me."),
    ]
    first = [
        t.pause(1),
        _status("waiting for carol's tests"),
        _send("operator", "greet runs, bob has just written it. carol is testing it now."),
        "I wait for carol.",
    ]
    release = [
        _status("writing the release notes"),
        t.think("The tests pass, so what is missing are the release notes and a word to the operator."),
        t.pause(3),
        _bash(_NOTES, "Tick off the plan, write release notes and my own notes"),
        t.pause(1),
        _send("*", "Thank you both, that was good work. The release is done."),
        _send("operator", THE_END + ': it lies in "{dir}". Shall I announce it? Answer me with yes or no.'),
        _status("waiting for the operator's yes"),
        "Done; the operator decides.",
    ]
    yes = [
        t.pause(2),
        _status("announcing release 0.1"),
        _send("*", "The operator says yes: greet 0.1 is out!"),
        _send("operator", "It is announced. Is there anything else?"),
        _status(""),
        "Announced.",
    ]
    no = [t.pause(1), _send("operator", "Then I keep it back until you tell me yes."), "I keep it back."]
    return [
        {"when": _from("operator", rf"release.* in {_DIR}"), "steps": plan},
        {"when": _from("bob", "greet runs"), "steps": first},
        {"when": _from("carol", rf"tests pass.*They are in {_DIR}"), "steps": release},
        {"when": r"(?i)\nMessage from operator:\n(yes|yep|sure|ok|please do)\b", "steps": yes},
        {"when": r"(?i)\nMessage from operator:\n(no|not yet|wait)\b", "steps": no},
    ]


def _bob(t: _Tempo) -> list[dict[str, Any]]:
    write = [
        _status("writing greet"),
        t.think("A shell script of one line. It takes the name as its first argument."),
        t.pause(3),
        {"tool": "Write", "input": {"file_path": "{dir}/greet", "content": _GREET}},
        t.pause(1),
        _bash('sh "{dir}/greet" Ada', "Try it"),
        _send("alice", 'greet runs. For "Ada" it says: {tool_result}'),
        t.say("That was quick."),
    ]
    answer = [
        t.think("Without a name it should greet the world. I am not sure that it does."),
        t.pause(2),
        _send("carol", 'Without a name it should say "Hello, world!". I have not tried that.'),
        "I told carol what to expect.",
    ]
    mend = [
        _status("mending greet"),
        t.think("Of course: without an argument $1 is empty. It needs a default."),
        t.pause(3),
        _bash(_MENDED, "Give the name a default, and try it"),
        _send("carol", 'Mended: without a name it says "{tool_result}" now. Please test again in "{dir}".'),
        _status(""),
        t.say("Good that carol tests."),
    ]
    return [
        {"when": _from("alice", rf"write greet.* in {_DIR}"), "steps": write},
        {"when": _from("carol", "without a name\\?"), "steps": answer},
        {"when": _from("carol", rf"test fails.* in {_DIR}"), "steps": mend},
    ]


def _carol(t: _Tempo) -> list[dict[str, Any]]:
    prepare = [
        _status("writing tests"),
        t.think("What can go wrong with a greeting? A name with an accent; no name at all. The last I have to ask."),
        t.pause(2),
        {"tool": "Write", "input": {"file_path": "{dir}/test.sh", "content": _TESTS}},
        _bash('echo "tests for greet: {dir}/test.sh" >> notes.md', "Note where the tests are"),
        _send("bob", "What should greet say without a name?"),
        "The tests are written; I ask bob about one case.",
    ]
    run = [
        _status("testing greet"),
        t.pause(3),
        _bash('sh "$(sed -n "s/^tests for greet: //p" notes.md | tail -n 1)"', "Run the tests"),
        t.think("One of them fails, just the one that I asked about."),
        t.pause(1),
        _bash('dirname "$(sed -n "s/^tests for greet: //p" notes.md | tail -n 1)"', "Where was that again"),
        _send("bob", 'A test fails: wanted "Hello, world!", got "Hello, !". The tests are in "{tool_result}".'),
        "bob will mend it.",
    ]
    again = [
        t.pause(2),
        _bash('sh "{dir}/test.sh"', "Run the tests again"),
        t.pause(1),
        _send("alice", 'All tests pass:\n{tool_result}\nThey are in "{dir}".'),
        _status(""),
        t.say("All green."),
    ]
    return [
        {"when": _from("alice", rf"prepare tests.* in {_DIR}"), "steps": prepare},
        {"when": _from("bob", "Without a name it should"), "steps": run},
        {"when": _from("bob", rf"test again in {_DIR}"), "steps": again},
    ]


def _small_talk(t: _Tempo) -> list[dict[str, Any]]:
    """What each of them answers when the operator writes something."""
    status = [
        t.pause(1),
        _bash("cat notes.md 2>/dev/null || echo 'I have no notes yet.'", "Look at my notes"),
        _send("operator", "My notes say:\n{tool_result}"),
        "I told the operator what I know.",
    ]
    hello = [t.pause(1), _send("operator", "Hello! I am {agent}. Ask me for my status, or just watch us."), "Greeted."]
    other = [
        t.pause(1),
        _send(
            "operator",
            'You wrote: "{body}". I am {agent} of the demo: a script speaks for me, so I understand little. '
            "With a login, or an ANTHROPIC_API_KEY, I would be Claude.",
        ),
        "I answered as well as a script can.",
    ]
    to_me = r"(?is)\nMessage from operator:\n"
    return [
        {"when": to_me + r".*\b(status|notes|how far)\b", "steps": status},
        {"when": to_me + r"(hello|hi|hey|good (morning|evening|day))\b", "steps": hello},
        {"when": to_me + r"(?P<body>.{0,400})", "steps": other},
    ]
