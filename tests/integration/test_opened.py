"""Plain processes of root below directories that are closed to their uids, as `/root` with Python and the hive in it.

Where root may mount, each agent gets a view of its own; where not, it is refused by name. The file runs a second time
without the power to mount.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from broker_bed import DEADLINE
from runtime_bed import OBEDIENT, SYSTEM_PYTHON, Bed

from hyperhive.errors import HiveError
from hyperhive.runtime.links import link_chain
from hyperhive.runtime.opened import Opened, why_not
from hyperhive.runtime.owners import this_hive
from hyperhive.runtime.process import ProcessRuntime
from hyperhive.runtime.readable import closed_above
from hyperhive.runtime.surroundings import Surroundings
from hyperhive.testing.contracts.runtime import CONTRACTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from hyperhive.testing.contracts.runtime import Contract

    Tier = Callable[[str, object, str], None]

pytestmark = pytest.mark.skipif(not this_hive().privileged, reason="only root runs processes as somebody else")

_RUN = "import os; exec(open(os.environ['HIVE_STATE'] + '/program.py').read())"
TRIED = """
import os
def tried(what, *args):
    try:
        return what(*args)
    except OSError as error:
        return type(error).__name__
"""


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hive-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def home(place: Path) -> Path:
    """A closed directory with an environment, a program behind links, and what is nobody's business."""
    # mountinfo spells the spaces in another way.
    home = place / "home of root"
    (home / "versions" / "v1" / "bin").mkdir(parents=True)
    (home / "versions" / "current").symlink_to("v1")
    (home / "versions" / "v1" / "bin" / "tool").write_text("#!/bin/sh\necho works\n")
    (home / "versions" / "v1" / "bin" / "tool").chmod(0o755)
    (home / "bin").mkdir()
    (home / "bin" / "tool").symlink_to("../versions/current/bin/tool")
    (home / "bin" / "other").touch()
    (home / ".ssh").mkdir()
    (home / ".ssh" / "key").write_text("secret")
    home.chmod(0o700)
    return home


def make_bed(home: Path) -> Bed:
    links, tool = link_chain(home / "bin" / "tool")
    surroundings = Surroundings((Path("/usr"), tool.parent.parent), (tool,), tuple(links), "/usr/bin:/bin", ())
    runtime = ProcessRuntime(command=(str(SYSTEM_PYTHON), "-P", "-c", _RUN), surroundings=surroundings)
    return Bed(home / "hive", runtime)


@pytest.fixture
async def opened(home: Path, require_tier: Tier) -> AsyncIterator[Bed]:
    """A hive below the closed directory."""
    bed = make_bed(home)
    require_tier("mounts", not bed.runtime._no_mounts, bed.runtime._no_mounts)  # type: ignore[attr-defined]
    yield bed
    await bed.close()


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


@pytest.mark.tier("mounts")
@pytest.mark.parametrize("contract", CONTRACTS)
async def test_contract(contract: Contract, opened: Bed) -> None:
    before = mounts()
    await contract(opened.subject)
    assert mounts() == before


@pytest.mark.tier("mounts")
async def test_only_what_is_needed_is_there(opened: Bed, home: Path) -> None:
    await opened.runtime.prepare(opened.plan("bob"))
    seen = await opened.ask(f"""{TRIED}
import subprocess
home, hive, nobody = {str(home)!r}, {str(opened.directory)!r}, "/proc/self/mountinfo"
answer = {{
    "cwd": os.getcwd() == os.environ["HIVE_STATE"] and os.path.exists("program.py"),
    "closed": sorted(os.listdir(home)),
    "bin": sorted(os.listdir(home + "/bin")),
    "tool": subprocess.run([home + "/bin/tool"], capture_output=True, text=True).stdout,
    "key": tried(open, home + "/.ssh/key"),
    "agents": [os.listdir(hive + "/state/agents"), os.listdir(hive + "/run/agents")],
    "bob": tried(os.listdir, hive + "/state/agents/bob/state"),
    "state": sorted(os.listdir(hive + "/state")),
    "around": [line.split()[4:6] for line in open("/proc/self/mountinfo") if line.split()[4].startswith(home[:9])],
}}
""")
    around = seen.pop("around")
    assert {"nosuid", "nodev"} <= set.intersection(*(set(options.split(",")) for _, options in around))
    assert seen == {
        "cwd": True,
        "closed": ["bin", "hive", "versions"],
        "bin": ["tool"],
        "tool": "works\n",
        "key": "FileNotFoundError",
        "agents": [["alice"], ["alice"]],
        "bob": "FileNotFoundError",
        "state": ["agents", "shared"],
    }


@pytest.mark.tier("mounts")
async def test_only_its_own_directories_are_writable(opened: Bed, home: Path) -> None:
    # By its modes everybody could write here.
    (home / "versions" / "v1").chmod(0o777)
    where = {
        "closed": home / "x",
        "bin": home / "bin" / "x",
        "environment": home / "versions" / "v1" / "x",
        "hive": opened.directory / "state" / "x",
        "agents": opened.directory / "state" / "agents" / "x",
    }
    seen = await opened.ask(f"""{TRIED}
def write(path):
    open(path, "a").close()
    return "done"
own = [os.environ[name] for name in ("HIVE_STATE", "HIVE_SHARED", "CLAUDE_CONFIG_DIR")]
answer = [[tried(write, path + "/x") for path in own], {{
    name: tried(write, path) for name, path in { ({name: str(path) for name, path in where.items()})!r}.items()}}]
""")
    assert seen[0] == ["done", "done", "done"]
    assert set(seen[1].values()) <= {"OSError", "PermissionError"}
    assert seen[1]["environment"] == "OSError"
    assert not any(path.exists() for path in where.values())
    assert (opened.directory / "state" / "shared" / "x").exists()


@pytest.mark.tier("mounts")
async def test_others_are_not_there_in_an_open_directory_either(opened: Bed, place: Path) -> None:
    bed = Bed(place, opened.runtime)
    await bed.runtime.prepare(bed.plan("bob"))
    (place / "mine").touch()
    seen = await bed.ask(f"""import os
answer = [sorted(os.listdir({str(place)!r} + name)) for name in ("", "/state", "/state/agents", "/run/agents")]""")
    assert seen == [["home of root", "mine", "run", "state"], ["agents", "logs", "shared"], ["alice"], ["alice"]]


@pytest.mark.tier("mounts")
async def test_the_umask_and_the_powers_are_as_ever(opened: Bed) -> None:
    seen = await opened.ask("import os\nanswer = [os.umask(0), os.getuid(), open('/proc/self/status').read()]")
    assert seen[:2] == [0o002, opened.runtime.owner("alice").uid]
    status = dict(line.split(":\t") for line in seen[2].splitlines() if ":\t" in line)
    assert status["NoNewPrivs"].strip() == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"):
        assert int(status[name], 16) == 0, name


@pytest.mark.tier("mounts")
async def test_socket_and_secrets_come_through(opened: Bed, home: Path) -> None:
    (home / "key").write_text("sk-made-up")
    plan = opened.plan(
        "alice",
        """import os, socket
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ["HIVE_SOCKET"])
client.sendall(open(os.environ["CREDENTIALS_DIRECTORY"] + "/KEY").read().encode())
""",
    )
    await opened.runtime.prepare(plan)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(plan.socket_dir / "hive.sock"))
        os.chown(plan.socket_dir / "hive.sock", opened.runtime.owner("alice").uid, -1)
        listener.listen()
        listener.setblocking(False)  # noqa: FBT003
        loop = asyncio.get_running_loop()
        running = asyncio.create_task(opened.run(replace(plan, credentials={"KEY": home / "key"})))
        client, _ = await asyncio.wait_for(loop.sock_accept(listener), DEADLINE)
        with client:
            assert await loop.sock_recv(client, 100) == b"sk-made-up"
    assert (await running).code == 0
    assert not plan.credentials_dir.exists()


@pytest.mark.tier("mounts")
async def test_the_hosts_mounts_and_modes_stay(opened: Bed, home: Path) -> None:
    before = mounts()
    await opened.runtime.start(opened.plan("alice", OBEDIENT))
    assert mounts() == before
    assert sorted(os.listdir(home)) == [".ssh", "bin", "hive", "versions"]  # noqa: PTH208
    await opened.runtime.stop("alice")
    assert mounts() == before
    assert os.stat(home).st_mode & 0o777 == 0o700  # noqa: PTH116


@pytest.mark.tier("mounts")
async def test_this_python_and_claude_run_wherever_they_lie(place: Path, require_tier: Tier) -> None:
    bed = Bed(place, ProcessRuntime(command=(sys.executable, "-P", "-s", "-c", _RUN)))
    require_tier("mounts", not bed.runtime._no_mounts, bed.runtime._no_mounts)  # type: ignore[attr-defined]
    needed = [link_chain(Path(path))[1] for path in (sys.prefix, sys.base_prefix, sys.executable)]
    owner = bed.runtime.owner("alice")
    closed = sorted({above for path in needed for above in closed_above(path, owner)})
    seen = await bed.ask(f"""{TRIED}
import shutil, subprocess, sys, claude_agent_sdk, hyperhive.wire
bundled = os.path.dirname(claude_agent_sdk.__file__) + "/_bundled/claude"
claude = bundled if os.path.exists(bundled) else shutil.which("claude")
done = subprocess.run([claude, "--version"], capture_output=True, text=True)
answer = {{
    "claude": done.stdout + done.stderr,
    "wire": hyperhive.wire.MAX_BATCH,
    "closed": {{path: os.listdir(path) for path in {list(map(str, closed))!r}}},
    "write": [tried(open, path + "/x", "w") for path in (sys.prefix, sys.base_prefix)],
}}
""")
    assert "(Claude Code)" in seen.pop("claude")
    assert seen.pop("wire") == 32
    assert all(isinstance(error, str) for error in seen.pop("write"))
    ways = {path for name in (*needed, Path(__file__).parents[2]) for path in (name, *name.parents)}
    for directory, names in seen.pop("closed").items():
        assert {Path(directory, name) for name in names} <= ways


# Where root may not mount, as in a container with the usual powers.


@pytest.fixture
def unopened(home: Path) -> Bed:
    bed = make_bed(home)
    if not bed.runtime._no_mounts:  # type: ignore[attr-defined]
        pytest.skip("root may mount here: see the test that takes this away")
    return bed


async def refusal(bed: Bed) -> HiveError:
    with pytest.raises(HiveError) as refused:
        await bed.runtime.start(bed.plan("alice"))
    assert refused.value.code == "sandbox_unreadable"
    return refused.value


async def test_a_closed_environment_is_refused_by_name(unopened: Bed, place: Path, home: Path) -> None:
    error = await refusal(Bed(place, unopened.runtime))
    assert f"'{home}' is closed" in error.message
    assert all(way in str(error.hint) for way in ("CAP_SYS_ADMIN", "/opt", "ordinary user", "unshare: "))


async def test_a_closed_state_directory_is_refused_by_name(unopened: Bed, home: Path) -> None:
    unopened.runtime._surroundings = Surroundings((Path("/usr"),), (), (), "/usr/bin:/bin", ())
    assert f"'{home}' is closed" in (await refusal(unopened)).message


@pytest.mark.parametrize("contract", CONTRACTS)
async def test_contract_in_the_open(contract: Contract, unopened: Bed, place: Path) -> None:
    unopened.runtime._surroundings = Surroundings((Path("/usr"),), (), (), "/usr/bin:/bin", ())
    await contract(Bed(place, unopened.runtime).subject)


def without_mounts(*command: str) -> subprocess.CompletedProcess[str]:
    front = ("setpriv", "--bounding-set", "-sys_admin", "--")
    return subprocess.run([*front, *command], capture_output=True, text=True, check=False)


def test_all_this_without_the_power_to_mount() -> None:
    if why_not(()):
        pytest.skip("this is the run without it")
    options: list[Any] = ["-c", "python/pyproject.toml", "--rootdir=.", "-p", "no:cacheprovider", "-q"]
    tests = without_mounts(sys.executable, "-m", "pytest", *options, "-k", "refused or open", __file__)
    print(tests.stdout, tests.stderr)  # noqa: T201 - shown where it failed
    assert tests.returncode == 0
    assert f"{2 + len(CONTRACTS)} passed" in tests.stdout


# What no mount can mend.


@pytest.mark.tier("mounts")
async def test_an_environment_that_is_closed_itself_is_refused(opened: Bed, home: Path) -> None:
    (home / "versions" / "v1").chmod(0o700)
    error = await refusal(opened)
    assert f"'{home / 'versions' / 'v1'}' is closed" in error.message
    assert "chmod" in str(error.hint)


@pytest.mark.tier("mounts")
@pytest.mark.usefixtures("opened")
def test_the_mounter_needs_no_library_once_it_is_covered() -> None:
    library = Path(os.__file__).parent
    kinds: dict[Path, Any] = {library: "cover", library / "os.py": "read-only", library / "json": "writable"}
    front = Opened(kinds, {library / "link": Path("/")}).front(library)
    seen = subprocess.run([*front, "/bin/sh", "-c", "ls"], capture_output=True, text=True, check=False)
    assert seen.stdout.split() == ["json", "link", "os.py"], seen


@pytest.mark.tier("mounts")
async def test_a_mounter_that_fails_says_why(opened: Bed, home: Path) -> None:
    plan = opened.plan("alice")
    await opened.runtime.prepare(plan)
    (home / "versions" / "v1").rename(home / "versions" / "v2")
    launch = opened.runtime._launch(plan)
    front = launch.command[: launch.command.index("--") + 1]
    failed = subprocess.run([*front, "/bin/true"], capture_output=True, text=True, check=False)  # noqa: ASYNC221
    assert failed.returncode == 1
    assert str(home / "versions") in failed.stderr
