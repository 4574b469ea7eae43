"""The embedded runtimes with real processes: the contracts, and what each isolates.

As root the whole file runs a second time as an ordinary user.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
import struct
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from broker_bed import DEADLINE
from ordinary_user import again_as_nobody, usable_python
from runtime_bed import FAMILY, Alive, Bed, make_runtime

from hyperhive.errors import HiveError
from hyperhive.runtime.base import Repositories
from hyperhive.runtime.bubblewrap import BubblewrapRuntime, probe
from hyperhive.runtime.owners import this_hive
from hyperhive.runtime.process import ProcessRuntime
from hyperhive.runtime.select import select_runtime
from hyperhive.runtime.surroundings import Surroundings
from hyperhive.testing.contracts.runtime import CONTRACTS, Subject
from hyperhive.testing.fake_runtime import FakeRuntime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from hyperhive.testing.contracts.runtime import Contract

    Tier = Callable[[str, object, str], None]

ROOT = os.geteuid() == 0
REAL = [pytest.param("bubblewrap", marks=pytest.mark.tier("bubblewrap")), "process"]


def why_no_bubblewrap() -> str:
    try:
        probe(this_hive())
    except HiveError as error:
        return error.message
    return ""


@pytest.fixture
def place() -> Iterator[Path]:
    # Not tmp_path: its parents are closed to every other uid, and processes of agents pass through by themselves.
    with tempfile.TemporaryDirectory(prefix="hive-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


def needs(name: str, require_tier: Tier) -> None:
    if name == "bubblewrap":
        why = why_no_bubblewrap()
        require_tier("bubblewrap", not why, why)


@pytest.fixture(params=REAL)
async def bed(request: pytest.FixtureRequest, place: Path, require_tier: Tier) -> AsyncIterator[Bed]:
    needs(request.param, require_tier)
    bed = Bed(place, make_runtime(request.param))
    yield bed
    await bed.close()


@pytest.fixture
async def sandboxed(place: Path, require_tier: Tier) -> AsyncIterator[Bed]:
    needs("bubblewrap", require_tier)
    bed = Bed(place, make_runtime("bubblewrap"))
    yield bed
    await bed.close()


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_contract(contract: Contract, bed: Bed) -> None:
    await contract(bed.subject)


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_contract_of_the_fake(contract: Contract, place: Path) -> None:
    fake = FakeRuntime()

    async def crash(name: str, code: int) -> None:
        fake.crash(name, code)

    await contract(Subject(fake, Bed(place, make_runtime("process")).plan, crash))


async def test_whoever_follows_a_log_is_told_that_it_has_grown(bed: Bed) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    bed.runtime.on_output = told.put_nowait
    plan = bed.plan("alice", "print('hello', flush=True)")
    await bed.runtime.start(plan)
    assert await asyncio.wait_for(told.get(), DEADLINE) == "alice"
    assert plan.log.read_text().endswith(" hello\n")


async def test_environment_is_exactly_this(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATORS_SECRET", "s")
    seen = await bed.ask("import os; answer = dict(os.environ)")
    # Set by bwrap's --chdir and by Python itself.
    assert seen.keys() - {"PWD", "LC_CTYPE", "PYTHONPATH"} == {
        *("HIVE_SOCKET", "HIVE_STATE", "HIVE_SHARED", "CLAUDE_CONFIG_DIR", "CREDENTIALS_DIRECTORY"),
        *("PATH", "HOME", "LANG"),
    }
    assert seen["HOME"] != os.environ.get("HOME") or seen["HIVE_STATE"] == "/state"
    assert seen["LANG"] == "C.UTF-8"


_REPOSITORIES = """
import os
def tried(work, *arguments):
    try:
        return work(*arguments)
    except OSError as error:
        return error.errno
proposed, applied = PLACES
answer = {
    "told": [os.environ.get("HIVE_PROPOSED"), os.environ.get("HIVE_APPLIED")],
    "listed": tried(os.listdir, applied),
    "read": tried(lambda: open(applied + "/bob.git/HEAD").read()),
    "changed": tried(os.mkdir, applied + "/mine.git"),
    "cloned": tried(os.mkdir, proposed + "/bob/config"),
}
"""


async def test_the_manager_alone_sees_the_repositories_and_changes_only_the_proposed_ones(bed: Bed) -> None:
    state = bed.plan("alice").shared.parent
    proposed, applied = state / "proposed", state / "applied"
    for path in (proposed / "bob", applied / "bob.git"):
        path.mkdir(parents=True)
        path.parent.chmod(0o755)
    os.chown(proposed / "bob", bed.runtime.owner("manager").uid, -1)
    (applied / "bob.git" / "HEAD").write_text("main")
    inside = bed.runtime.name == "bubblewrap"
    places = ["/agents", "/applied"] if inside else [str(proposed), str(applied)]
    look = _REPOSITORIES.replace("PLACES", repr(places))

    bed.repositories = Repositories(proposed, applied)
    seen = await bed.ask(look, "manager")
    assert (seen["told"], seen["listed"], seen["read"], seen["cloned"]) == (places, ["bob.git"], "main", None)
    assert (proposed / "bob" / "config").is_dir()
    bed.repositories = None
    other = await bed.ask(look)
    assert other["told"] == [None, None]
    if inside or ROOT:
        assert seen["changed"] in {errno.EROFS, errno.EACCES}
        # There is nothing there, or an empty directory that covers it.
        assert other["listed"] in (errno.ENOENT, [])
        assert (other["read"], other["cloned"]) == (errno.ENOENT, errno.ENOENT)


async def test_more_environment_is_handed_in(place: Path) -> None:
    bed = Bed(place, make_runtime("process", environment={"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}))
    assert await bed.ask("import os; answer = os.environ['ANTHROPIC_BASE_URL']") == "http://127.0.0.1:1"


async def test_directories_have_owner_and_mode(bed: Bed) -> None:
    plan = bed.plan("alice")
    (plan.state / "theirs").write_text("untouched")
    await bed.runtime.prepare(plan)
    owner = bed.runtime.owner("alice")
    for path in (plan.claude, plan.state):
        status = path.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (owner.uid, owner.gid, 0o700)
    assert (plan.state / "theirs").stat().st_uid == os.geteuid()
    shared = plan.shared.stat()
    assert (shared.st_uid, shared.st_gid) == (os.geteuid(), owner.gid)
    assert stat.S_IMODE(shared.st_mode) == (0o2770 if ROOT else 0o700)
    parent = stat.S_IMODE(plan.socket_dir.parent.stat().st_mode)
    assert parent == (0o711 if ROOT and bed.runtime.name == "process" else 0o700)


async def test_a_link_in_place_of_a_directory_is_refused(bed: Bed, place: Path) -> None:
    plan = bed.plan("alice")
    target = place / "operators"
    target.mkdir(mode=0o755)
    plan.claude.symlink_to(target)
    with pytest.raises(HiveError, match=str(plan.claude)) as refusal:
        await bed.runtime.prepare(plan)
    assert refusal.value.code == "operation_failed"
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


async def test_it_is_nobody_else(bed: Bed) -> None:
    seen = await bed.ask(
        "import os\nanswer = [os.getuid(), os.getgid(), os.getgroups(), os.umask(0), open('/proc/self/status').read()]"
    )
    owner = bed.runtime.owner("alice")
    assert seen[0] == owner.uid
    assert seen[3] == (0o002 if ROOT else 0o022)
    status = dict(line.split(":\t") for line in seen[4].splitlines() if ":\t" in line)
    assert status["NoNewPrivs"].strip() == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    if ROOT:
        assert seen[:3] == [owner.uid, owner.gid, []]
        assert int(status["CapBnd"], 16) == 0


LISTEN = """
import os, socket
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ["HIVE_SOCKET"])
client.sendall(b"hello")
try:
    os.unlink(os.environ["HIVE_SOCKET"])
    answer = "unlinked"
except OSError as error:
    answer = error.strerror
"""


async def test_the_socket_tells_who_it_is(bed: Bed) -> None:
    plan = bed.plan("alice")
    await bed.runtime.prepare(plan)
    owner = bed.runtime.owner("alice")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plan.socket_dir / "hive.sock"))
        (plan.socket_dir / "hive.sock").chmod(0o600)
        os.chown(plan.socket_dir / "hive.sock", owner.uid, owner.gid)
        listener.listen()
        listener.setblocking(False)  # noqa: FBT003
        loop = asyncio.get_running_loop()
        asking = asyncio.create_task(bed.ask(LISTEN))
        client, _ = await asyncio.wait_for(loop.sock_accept(listener), DEADLINE)
        with client:
            _, uid, _ = struct.unpack("iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            assert await loop.sock_recv(client, 100) == b"hello"
        assert uid == owner.peer_uid
        # Plain processes of one user own the socket; nothing keeps them from it, and the warnings say so.
        kept = ROOT or bed.runtime.name == "bubblewrap"
        assert (await asking != "unlinked") == kept
        assert (plan.socket_dir / "hive.sock").exists() == kept


async def test_secrets_arrive_as_files_and_go_with_the_run(bed: Bed, place: Path) -> None:
    (place / "key").write_text("sk-made-up")
    (place / "key").chmod(0o600)
    source = (
        "import os\nplace = os.environ['CREDENTIALS_DIRECTORY']\npath = place + '/ANTHROPIC_API_KEY'\n"
        "answer = [os.listdir(place), open(path).read(), os.stat(path).st_mode & 0o777, os.stat(path).st_uid]"
    )
    plan = bed.plan("alice", f"{source}\nimport json; print(json.dumps(answer))")
    end = await bed.run(replace(plan, credentials={"ANTHROPIC_API_KEY": place / "key"}))
    uid = bed.runtime.owner("alice").uid
    assert end.tail == (f'[["ANTHROPIC_API_KEY"], "sk-made-up", {0o400}, {uid}]',)
    assert not plan.credentials_dir.exists()


async def test_output_is_kept_with_times(bed: Bed) -> None:
    plan = bed.plan("alice", "import sys\nfor n in range(30): print(n, flush=True)\nsys.exit('the end')")
    end = await bed.run(plan)
    assert end.code == 1
    assert end.tail == (*map(str, range(11, 30)), "the end")
    lines = plan.log.read_text().splitlines()
    assert len(lines) == 31
    assert lines[-1].endswith("Z the end")
    assert stat.S_IMODE(plan.log.stat().st_mode) == 0o600
    assert plan.log.stat().st_uid == os.geteuid()


async def test_death_by_a_signal_is_told_as_one(bed: Bed) -> None:
    end = await bed.run(bed.plan("alice", "import os; os.kill(os.getpid(), 15)"))
    # The first process of a sandbox is no init here: bwrap is.
    assert end.code == -15


async def test_stop_ends_the_whole_family(bed: Bed) -> None:
    plan = bed.plan("alice", FAMILY)
    alive = Alive(plan)
    await bed.runtime.start(plan)
    await alive.up()
    await bed.runtime.stop("alice")
    await alive.gone()
    assert [(end.code, end.expected) for end in bed.subject.exits] == [(-9, True)]


async def test_a_crash_ends_the_whole_family_before_it_is_told(bed: Bed) -> None:
    plan = bed.plan(
        "alice", FAMILY.replace("time.sleep(1000)", "os.read(os.open(os.environ['HIVE_STATE'] + '/control', 0), 9)")
    )
    alive = Alive(plan)
    await bed.runtime.start(plan)
    await alive.up()
    await bed.crash("alice", 0)
    end = await bed.subject.next_exit()
    assert not end.expected
    assert alive.now() == b"", "nobody is left who could write"


@pytest.mark.parametrize("name", REAL)
async def test_a_killed_hive_leaves_nothing(name: str, place: Path, require_tier: Tier) -> None:
    needs(name, require_tier)
    plan = Bed(place, make_runtime(name)).plan("alice", FAMILY)
    alive = Alive(plan)
    hive = await asyncio.create_subprocess_exec(sys.executable, Path(__file__).with_name("runtime_bed.py"), name, place)
    try:
        await alive.up()
    finally:
        hive.kill()
        await hive.wait()
    await alive.gone()


async def test_a_cancelled_start_leaves_nothing(bed: Bed) -> None:
    plan = bed.plan("alice")
    starting = asyncio.create_task(bed.runtime.start(plan))
    # One step: it has spawned the holder and waits for its word.
    await asyncio.sleep(0)
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    await bed.runtime.start(plan)
    assert bed.runtime.running() == {"alice"}
    assert all(end.expected for end in bed.subject.exits)


async def test_a_program_that_is_not_there_is_refused(place: Path) -> None:
    usr = Surroundings((Path("/usr"),), (), (), "/usr/bin:/bin", ())
    runtime = ProcessRuntime(
        command=["/usr/bin/no-such-program"], surroundings=usr, hive=replace(this_hive(), privileged=False)
    )
    bed = Bed(place, runtime)
    with pytest.raises(HiveError, match="no-such-program") as refusal:
        await runtime.start(bed.plan("alice"))
    assert refusal.value.code == "runtime_unavailable"
    assert runtime.running() == frozenset()
    assert bed.subject.exits == []


# What only a sandbox gives.

LOOK = """
import os
def tried(what, *args):
    try:
        what(*args)
        return "done"
    except OSError as error:
        return type(error).__name__
def write(path):
    open(path, "a").close()
answer = {
    "state": os.listdir("/state"),
    "shared": tried(write, "/shared/by-alice"),
    "claude": tried(write, "/root/.claude/x"),
    "home": tried(write, "/root/x"),
    "tmp": tried(write, "/tmp/x"),
    "shm": tried(write, "/dev/shm/x"),
    "shadow": tried(open, "/etc/shadow"),
    "other": tried(os.listdir, OTHER),
    "hive": tried(os.listdir, HIVE),
    "usr": tried(write, "/usr/x"),
    "etc": tried(write, "/etc/x"),
    "root": tried(write, "/x"),
    "sysctl": tried(write, "/proc/sys/kernel/core_pattern"),
    "hostname": os.uname().nodename,
    "pids": sorted(int(n) for n in os.listdir("/proc") if n.isdecimal()),
    "home directories": tried(os.listdir, "/home"),
    "cwd": os.getcwd(),
}
import pwd
answer["name"] = pwd.getpwuid(os.getuid())[0]
answer["home directory"] = pwd.getpwuid(os.getuid())[5]
"""


async def test_what_an_agent_sees(sandboxed: Bed) -> None:
    other = sandboxed.plan("bob")
    await sandboxed.runtime.prepare(other)
    where = f"OTHER = {str(other.state)!r}\nHIVE = {str(sandboxed.directory)!r}\n"
    seen = await sandboxed.ask(where + LOOK)
    assert "program.py" in seen.pop("state")
    # bwrap as process 1, perhaps a second one, and the program.
    assert len(seen.pop("pids")) <= 3
    readable_nowhere = {seen.pop("shadow"), seen.pop("other"), seen.pop("hive"), seen.pop("home directories")}
    assert readable_nowhere == {"FileNotFoundError"}
    assert "done" not in {seen.pop("usr"), seen.pop("etc"), seen.pop("root"), seen.pop("sysctl")}
    assert {seen.pop(name) for name in ("shared", "claude", "home", "tmp", "shm")} == {"done"}
    assert seen == {"hostname": "alice", "cwd": "/state", "name": "alice", "home directory": "/root"}
    assert (other.shared / "by-alice").stat().st_gid == sandboxed.runtime.owner("alice").gid


async def test_a_state_directory_inside_the_environment_is_hidden(place: Path, require_tier: Tier) -> None:
    needs("bubblewrap", require_tier)
    usual = make_runtime("bubblewrap")._surroundings
    bed = Bed(place, make_runtime("bubblewrap", surroundings=replace(usual, roots=(*usual.roots, place))))
    place.chmod(0o755)  # noqa: ASYNC240 - a test may block
    (place / "shown").touch()
    (place / "state").mkdir()
    (place / "state" / "operator-token").write_text("secret")
    answer = await bed.ask(
        f"import os\nanswer = [sorted(os.listdir({str(place)!r})), os.listdir({str(place / 'state')!r})]"
    )
    assert answer == [["run", "shown", "state"], []]


async def test_the_real_claude_and_the_package_work_inside(sandboxed: Bed) -> None:
    seen = await sandboxed.ask("""
import os, shutil, subprocess, claude_agent_sdk, hyperhive.wire
bundled = os.path.dirname(claude_agent_sdk.__file__) + "/_bundled/claude"
claude = bundled if os.path.exists(bundled) else shutil.which("claude")
done = subprocess.run([claude, "--version"], capture_output=True, text=True)
answer = [done.stdout + done.stderr, hyperhive.wire.MAX_BATCH]
""")
    assert "(Claude Code)" in seen[0]
    assert seen[1] == 32


# What is refused.


def test_a_bubblewrap_that_does_not_work_says_why(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = place / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    with pytest.raises(HiveError, match="No permissions to create new namespace") as refusal:
        select_runtime("bubblewrap")
    assert (refusal.value.code, bool(refusal.value.hint)) == ("runtime_unavailable", True)
    assert select_runtime("auto").name == "process"


def test_select(require_tier: Tier) -> None:
    with pytest.raises(HiveError) as refusal:
        select_runtime("nixos-container")
    assert refusal.value.code == "runtime_unavailable"
    assert isinstance(select_runtime("process"), ProcessRuntime)
    needs("bubblewrap", require_tier)
    assert isinstance(select_runtime("auto"), BubblewrapRuntime)


# Once more as an ordinary user.


@pytest.mark.tier("ordinary-user")
@pytest.mark.skipif(not ROOT, reason="this is the run as an ordinary user")
def test_all_this_as_an_ordinary_user(place: Path, require_tier: Tier) -> None:
    usable, why = usable_python(place)
    require_tier("ordinary-user", usable, why)
    again_as_nobody(place, str(usable), __file__)
