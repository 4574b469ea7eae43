"""What the manager proposes is built with the real Nix, before anybody is asked; and nothing of it gets out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builder_bed import NOBODY, PLATFORM, Yard, is_rooted, store_daemon, system, yard

from hyperhive.hive.confined import Bounds
from hyperhive.hive.nix_builder import BuildBounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.tier("nix"), pytest.mark.usefixtures("nix")]

#: Seconds that a build sleeps, by which its process is known: another run has another number.
_FOR_EVER = f"{os.getpid()}000"
_UNITS = {"a.service": "one", "b.service": "one", "c.timer": "one"}


@pytest.fixture
def here() -> Iterator[Yard]:
    with yard() as made:
        yield made


async def test_a_proposal_is_built_and_compared_with_what_runs(here: Yard) -> None:
    first = await here.build(system("tool-1.0", units=_UNITS))
    assert first.ok, first.log
    assert first.system is not None
    assert (first.closure_diff, first.units) == (None, ())
    here.running["alice"] = first.system
    changed = {**_UNITS, "b.service": "two", "new.service": "one"}
    large = "i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done >$out/large"
    second = await here.build(system("tool-1.1", units=changed, script=large), 2)
    assert second.ok, second.log
    assert second.system is not None
    assert second.units == ("b.service",)
    assert "tool: 1.0 → 1.1" in (second.closure_diff or "")
    assert second.size_bytes is not None
    assert first.size_bytes is not None
    assert second.size_bytes > first.size_bytes + 80_000
    assert "evaluating the system of 'alice'" in second.log
    assert f"built {second.system}" in here.builder.log(2).read_text()


async def test_what_waits_for_a_decision_is_not_collected_and_what_is_not_wanted_is(here: Yard) -> None:
    built = await here.build(system("waits"), 7)
    assert built.system is not None
    assert here.links() == ["proposal-7"]
    assert is_rooted(built.system)
    await here.builder.forget("alice", 7)
    await here.builder.forget("alice", 7)
    assert here.links() == []
    assert not is_rooted(built.system)


async def test_the_last_three_systems_of_an_agent_stay(here: Yard) -> None:
    for number in range(1, 6):
        built = await here.build(system(f"kept-{number}"), number)
        assert built.ok, built.log
        await here.builder.keep("alice", number)
        await here.builder.keep("alice", number)
    await here.build(system("other"), 6, "alice-2")
    await here.builder.keep("alice-2", 6)
    assert here.links() == ["kept-alice-2-6", "kept-alice-3", "kept-alice-4", "kept-alice-5"]
    assert "kept-5" in (here.place / "flake" / "agents" / "alice" / "agent.nix").read_text()
    await here.builder.purge("alice")
    assert here.links() == ["kept-alice-2-6"]


async def test_what_a_crash_left_is_swept(here: Yard) -> None:
    for number in (1, 2):
        await here.build(system(f"s{number}"), number)
    (here.place / "builder" / "jobs" / "9").mkdir(parents=True)
    await here.builder.sweep({2})
    assert here.links() == ["proposal-2"]
    assert [path.name for path in (here.place / "flake" / "proposals").iterdir()] == ["2"]
    assert not (here.place / "builder" / "jobs").exists()


async def test_one_that_does_not_build_says_why_and_keeps_nothing(here: Yard) -> None:
    built = await here.build(system(script="echo something is missing >&2; exit 3"))
    assert not built.ok
    assert "something is missing" in built.log
    assert (built.reason or "").startswith("the build failed: builder for")
    assert here.links() == []
    assert built.reason in here.builder.log(1).read_text()


async def test_one_that_was_built_before_and_does_not_build_now_leaves_nothing_of_before(here: Yard) -> None:
    assert (await here.build(system())).ok
    assert not (await here.build("{")).ok
    assert here.links() == []


@pytest.mark.parametrize(
    ("agent_nix", "said"),
    [
        ("{", "syntax error"),
        ("42", "is not an attribute set"),
        ('{ drvPath = "/etc/passwd"; }', "is no derivation"),
        ("{ drvPath = 1; }", "cannot coerce"),
        ("builtins.throw ''I\n  give up''", "give up"),
    ],
)
async def test_what_is_no_system_is_refused(here: Yard, agent_nix: str, said: str) -> None:
    built = await here.build(agent_nix)
    assert not built.ok
    assert said in built.log
    assert here.links() == []


async def test_a_result_without_an_init_is_no_system(here: Yard) -> None:
    built = await here.build(system(script="/bin/rm $out/init"))
    assert (built.ok, "no init in it" in (built.reason or "")) == (False, True)


async def test_a_system_that_is_too_large_is_refused(here: Yard) -> None:
    built = await here.build(system("large", script="/usr/bin/head -c 2000000 /dev/zero >$out/large"))
    assert not built.ok
    assert "are allowed" in (built.reason or "")
    assert here.links() == []


# --- an agent.nix that is up to something


_HASH = "0" * 52
_HOSTILE = {
    "a file of root": ("builtins.readFile /etc/shadow", "forbidden in pure evaluation mode"),
    "a file outside": ("builtins.readFile ../../../../../../etc/passwd", "forbidden in pure evaluation mode"),
    "a directory outside": ("builtins.readDir /etc", "forbidden in pure evaluation mode"),
    "the root": (
        'if builtins.attrNames (builtins.readDir /.) == [ "nix" ] then throw "nothing but the store" else 1',
        "nothing but the store",
    ),
    "the store": (
        'if builtins.length (builtins.attrNames (builtins.readDir /nix/store)) == 1 then throw "one source" else 1',
        "one source",
    ),
    "the flake of the hive": ('builtins.readFile (toString ./. + "/../../../../../../etc/hostname")', "forbidden"),
    "a directory of the host in a derivation": ('"${/root}"', "forbidden in pure evaluation mode"),
    "a store path that it names": ("builtins.storePath /nix/store", "not allowed in pure evaluation mode"),
    "the environment": ('if builtins.getEnv "HOME" == "" then throw "nothing there" else 1', "nothing there"),
    "this system": ("builtins.currentSystem", "currentSystem' missing"),
    "the time": ("builtins.currentTime", "currentTime' missing"),
    "an import of what is built": (
        f'import (derivation {{ name = "x"; system = "{PLATFORM}"; builder = "/bin/sh"; }})',
        "allow-import-from-derivation",
    ),
    "a file of what is built": (
        f'builtins.readFile (derivation {{ name = "x"; system = "{PLATFORM}"; builder = "/bin/sh"; }})',
        "allow-import-from-derivation",
    ),
    "a download": ('import (builtins.fetchurl "http://127.0.0.1:9/x")', "forbidden"),
    "a download with a hash": (
        f'import (builtins.fetchurl {{ url = "http://127.0.0.1:9/x"; sha256 = "{_HASH}"; }})',
        "forbidden in restricted mode",
    ),
    "an archive": (
        f'import (builtins.fetchTarball {{ url = "http://127.0.0.1:9/x"; sha256 = "{_HASH}"; }})',
        "forbidden in restricted mode",
    ),
    "a repository": (
        'import (builtins.fetchGit { url = "file:///root"; rev = "0000000000000000000000000000000000000000"; })',
        "forbidden in restricted mode",
    ),
    "a tree": ('import (builtins.fetchTree { type = "path"; path = "/etc"; })', "unlocked input"),
    "a flake": ('(builtins.getFlake "path:/etc").x', "unlocked"),
    "a program": ('builtins.exec [ "/bin/id" ]', "'exec' missing"),
    "native code": ('builtins.importNative ./x "y"', "'importNative' missing"),
    "itself for ever": ("let x = x; in x", "infinite recursion"),
    "depth": ("let f = n: [ n ] ++ f (n + 1); in f 0", "max-call-depth"),
}


@pytest.mark.parametrize("what", _HOSTILE)
async def test_nothing_of_the_host_is_read_and_nothing_is_run(here: Yard, what: str) -> None:
    expression, said = _HOSTILE[what]
    built = await here.build(f"builtins.deepSeq ({expression}) ({system()})")
    assert not built.ok, what
    assert said in built.log
    assert said.split(" ")[0].strip("'") in (built.reason or "") or "error" in built.log
    assert here.links() == []


async def test_a_link_in_the_tree_is_refused(here: Yard) -> None:
    tree = here.tree(system())
    (tree / "secret").symlink_to("/etc/shadow")
    built = await here.builder.build("alice", 1, tree)
    assert (built.ok, "'secret' is neither a file nor a directory" in built.log) == (False, True)


_LOOP = """
let
  many = builtins.genList (x: x) 3000;
  again = f: builtins.foldl' (a: _: builtins.seq (f a) a) 0 many;
in
again (_: again (_: again (_: again (x: x))))
"""


async def test_a_loop_is_ended() -> None:
    with yard(bounds=BuildBounds(evaluation=Bounds(seconds=1.0, memory_bytes=1024**3))) as short:
        built = await short.build(f"builtins.seq ({_LOOP}) ({system()})")
    assert (built.ok, built.reason) == (False, "the evaluation was ended: it took more than 1 s")
    assert built.log.endswith("hyperhive: the evaluation was ended: it took more than 1 s\n")


@pytest.mark.parametrize(
    "greedy",
    [
        'let s = n: x: if n == 0 then x else s (n - 1) (x + x); in builtins.stringLength (s 40 "aaaaaaaa")',
        "builtins.length (builtins.genList toString 1000000000)",
    ],
)
async def test_who_eats_memory_is_ended(here: Yard, greedy: str) -> None:
    built = await here.build(f"builtins.seq ({greedy}) ({system()})")
    assert (built.ok, built.reason) == (False, "the evaluation needed more than 1 GiB of memory")


async def test_who_says_too_much_is_ended_and_its_log_stays_small(here: Yard) -> None:
    word = "A" * 1000
    noisy = f'builtins.foldl\' (a: _: builtins.trace "{word}" a) 0 (builtins.genList (x: x) 1000000)'
    built = await here.build(f"builtins.seq ({noisy}) ({system()})")
    assert (built.ok, built.reason) == (False, "the evaluation was ended: it printed more than 1,048,576 bytes")
    assert len(built.log) < 400_000
    assert "bytes are left out" in built.log


async def test_escapes_for_a_terminal_are_no_part_of_a_log(here: Yard) -> None:
    built = await here.build(
        r'builtins.trace "\u001b[31mred\u001b]0;title\u0007" (throw "x\u0000y")'.replace("\\u0000", "")
    )
    assert "\x1b" not in built.log
    assert "\x07" not in built.log


async def test_a_build_that_does_not_end_is_ended_with_all_its_processes() -> None:
    # Long enough for the build to have begun: how long that is, the machine knows.
    for seconds in (2, 10, 50):
        with yard(bounds=BuildBounds(build_seconds=seconds)) as short:
            built = await short.build(system(script=f"echo begun >&2; /bin/sleep {_FOR_EVER}"))
        assert not built.ok
        assert f"{seconds} s" in (built.reason or "") or "timed out" in (built.reason or "")
        assert not _sleepers()
        if "begun" in built.log:
            return
    pytest.fail(built.log)


async def test_a_build_that_is_not_wanted_any_more_is_ended(here: Yard) -> None:
    building = asyncio.create_task(here.build(system(script=f"/bin/sleep {_FOR_EVER}")))
    await _until(_sleepers)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert not _sleepers()
    assert (here.links(), list((here.place / "builder" / "jobs").iterdir())) == ([], [])
    assert (await here.build(system("next"), 2)).ok, "the next one has its turn"


async def test_one_at_a_time(here: Yard) -> None:
    first = asyncio.create_task(here.build(system("first", script="/bin/sleep 1"), 1))
    second = asyncio.create_task(here.builder.build("bob", 2, here.tree(system("second"), "other")))
    await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
    assert (first.done(), second.done()) == (True, False)
    assert (await second).ok


async def _until(holds: Callable[[], object]) -> None:
    """Wait for what the list of processes alone tells."""
    async with asyncio.timeout(200):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _sleepers() -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"/bin/sleep", _FOR_EVER.encode()]:
            found.append(int(path.parent.name))
    return found


# --- as a user that the store's daemon does not trust


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A daemon of the store that trusts root alone."""
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    with store_daemon(tmp_path) as socket:
        monkeypatch.setenv("NIX_DAEMON_SOCKET_PATH", str(socket))
        monkeypatch.setenv("NIX_REMOTE", "daemon")
        yield


@pytest.mark.usefixtures("daemon")
async def test_whom_the_daemon_does_not_trust_builds_and_the_hive_makes_the_root() -> None:
    with yard(NOBODY) as here:
        built = await here.build(system("untrusted"))
        assert built.ok, built.log
        assert "not a trusted user" not in built.log
        assert here.links() == ["proposal-1"]
        assert (here.roots / "proposal-1").lstat().st_uid == 0
        assert not list((here.place / "builder" / "home").glob("result-*"))


@pytest.mark.usefixtures("daemon")
async def test_who_builds_can_change_nothing_of_the_hive() -> None:
    with yard(NOBODY) as here:
        assert (await here.build(system())).ok
        own = [path for path in here.place.rglob("*") if path.lstat().st_uid == NOBODY.uid]
        assert own
        assert all(path.is_relative_to(here.place / "builder" / "home") for path in own)


async def test_a_derivation_that_wants_no_sandbox_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    with store_daemon(tmp_path, sandbox="true") as socket, yard(NOBODY) as here:
        monkeypatch.setenv("NIX_DAEMON_SOCKET_PATH", str(socket))
        monkeypatch.setenv("NIX_REMOTE", "daemon")
        built = await here.build(system("open", more="__noChroot = true;"))
        assert not built.ok
        assert "__noChroot" in built.log
        assert "__noChroot" in (built.reason or "")


@pytest.mark.usefixtures("daemon")
async def test_an_ended_client_ends_what_the_daemon_builds_for_it() -> None:
    with yard(NOBODY) as here:
        building = asyncio.create_task(here.build(system(script=f"/bin/sleep {_FOR_EVER}")))
        await _until(_sleepers)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
        # The daemon ends it when it sees that nobody is there any more.
        await _until(lambda: not _sleepers())
