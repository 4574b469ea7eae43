"""A machine for the tier: systemd-nspawn boots a real systemd as PID 1, in which the daemon and its containers run.

`Host` starts it in a cgroup, a network and a mount namespace of its own and ends all of it. What is inside is entered
by `run`, through the namespaces of its PID 1; its files are seen below `/proc/<PID 1>/root`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from nspawn_cgroups import Cgroups, end_groups
from nspawn_image import image

from hyperhive.runtime.surroundings import default_command, find_surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

RIG: Final = Path(__file__).parent / "rig"
STATE: Final = "/var/lib/hyperhive"
#: Seconds after which something that has to happen hangs: not a measure of how fast a machine has to be.
PATIENCE: Final = 120
_NAMESPACES: Final = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
#: For the filters of ports and addresses, which systemd loads into the kernel.
_CAPABILITIES: Final = "CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN,CAP_SYS_RESOURCE"


class Host:
    """The machine. `async with Host()`; everything of it is gone afterwards.

    Args:
        cgroups: what it has of them; by default one hierarchy, as NixOS.

    Attributes:
        work: its directory on this machine.
        leader: its PID 1, as this machine sees it.
    """

    def __init__(self, cgroups: Cgroups | None = None) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="hyperhive-nspawn-"))
        self.leader = 0
        self._name = f"hive-{os.getpid()}-{self.work.name[-6:]}".replace("_", "x").lower()
        self._cgroups = cgroups or Cgroups.unified()
        self._groups = self._cgroups.groups(self._name)
        self._process: asyncio.subprocess.Process | None = None
        self._surroundings = find_surroundings(default_command())

    # --- life

    async def __aenter__(self) -> Self:
        try:
            self._lay_out()
            await self._boot()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), PATIENCE)
        await end_groups(self._groups)
        if self._process is not None:
            await self._process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    async def _boot(self) -> None:
        for group in self._groups:
            group.mkdir()
        console = (self.work / "console").open("wb")
        with console, _listening(self.work / "notify") as news:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, **_SWITCHES, **self._cgroups.switches, "NOTIFY_SOCKET": str(self.work / "notify")},
                preexec_fn=self._join,
            )
            ready, ended = asyncio.create_task(self._ready(news)), asyncio.create_task(self._process.wait())
            await asyncio.wait({ready, ended}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            if not ready.done():
                ready.cancel()
                said = (self.work / "console").read_text(errors="replace")[-2000:]
                msg = f"the machine did not boot:\n{said}"
                raise AssertionError(msg)
            self.leader = ready.result()

    @staticmethod
    async def _ready(news: socket.socket) -> int:
        said = ""
        while "\nREADY=1\n" not in f"\n{said}":
            said += (await asyncio.get_running_loop().sock_recv(news, 4096)).decode() + "\n"
        return int(said.partition("X_NSPAWN_LEADER_PID=")[2].split()[0])

    def _join(self) -> None:
        for group in self._groups:
            (group / "cgroup.procs").write_text("0")

    def _command(self) -> list[str]:
        shown = {str(root): root for root in self._surroundings.roots}
        # Not the image itself as the root, with an overlay: users cannot be mapped on one, and it hides what is below.
        shown |= {"/usr": image() / "usr", "/rig/usr": image() / "usr"}
        binds = [f"--bind-ro={source}:{target}" for target, source in shown.items()]
        return [
            # Whatever ends the tests, a kill too, has the machine power off.
            *("setpriv", "--pdeathsig", "TERM"),
            "systemd-nspawn",
            *("-M", self._name, "-D", str(self.root), "--private-network"),
            *("--register=no", "--keep-unit", "--console=read-only", "--link-journal=no", "--resolv-conf=off"),
            *("--notify-ready=yes", "--kill-signal=SIGRTMIN+3", f"--capability={_CAPABILITIES}"),
            # As in rig/system-init.
            "--setenv=SYSTEMD_DEFAULT_MOUNT_RATE_LIMIT_BURST=200",
            *binds,
            *self._cgroups.init,
        ]

    # --- files

    def _lay_out(self) -> None:
        self.work.chmod(0o755)
        shutil.copytree(image() / "etc", self.root / "etc", symlinks=True)
        for link in ("bin", "sbin", "lib", "lib64"):
            (self.root / link).symlink_to(f"usr/{link}")
        for place in _PLACES:
            (self.root / place).mkdir(parents=True)
        # What nspawn knows a root by, before it binds /usr.
        (self.root / "usr" / "lib").mkdir()
        shutil.copy(image() / "usr" / "lib" / "os-release", self.root / "usr" / "lib" / "os-release")
        programs = [RIG / name for name in ("start-container", "reload-container", "init-with-controllers", "nix")]
        for path in (*programs, RIG.parent / "nixos-container"):
            shutil.copy(path, self.root / "rig" / path.name)
        (self.root / "rig" / "roots").write_text("".join(f"{root}\n" for root in self._surroundings.roots))
        for unit in ("hyperhive.service", "container@.service"):
            (self.root / "etc" / "systemd" / "system" / unit).write_text(self._filled(RIG / unit))
        with (self.root / "etc" / "group").open("a") as groups:
            groups.write("hyperhive:x:990:\nhyperhive-builder:x:991:\n")
        with (self.root / "etc" / "passwd").open("a") as users:
            users.write("hyperhive-builder:x:991:991::/nowhere:/usr/sbin/nologin\n")
        builders = self.root / "var" / "lib" / "hyperhive-builder"
        builders.chmod(0o750)
        os.chown(builders, 0, 991)
        base = self.root / "nix" / "store" / "base"
        shutil.copytree(image() / "etc", base / "etc", symlinks=True)
        # A container's own: nspawn gives it its name, as networking.hostName = "" does.
        for file in ("machine-id", "hostname"):
            (base / "etc" / file).unlink(missing_ok=True)
        for etc in (self.root / "etc", base / "etc"):
            # A fresh /tmp would hide what is bound below it, such as a checkout.
            (etc / "systemd" / "system" / "tmp.mount").symlink_to("/dev/null")
        self.make_system("default")

    def make_system(self, name: str) -> str:
        """A system that containers can run; returns its store path, as inside."""
        system = self.root / "nix" / "store" / name
        (system / "bin").mkdir(parents=True)
        units = system / "etc" / "systemd" / "system"
        (units / "multi-user.target.wants").mkdir(parents=True)
        for script, place in (("init", "init"), ("activate", "activate"), ("switch", "bin/switch-to-configuration")):
            shutil.copy(RIG / f"system-{script}", system / place)
        (units / "hyperhive-harness.service").write_text(self._filled(RIG / "hyperhive-harness.service"))
        (units / "multi-user.target.wants" / "hyperhive-harness.service").symlink_to("../hyperhive-harness.service")
        (system / "etc" / "system-name").write_text(name)
        return f"/nix/store/{name}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment in which the tests' Python finds its packages."""
        environment = self._surroundings.environment({"PYTHONDONTWRITEBYTECODE": "1"})
        environment["PATH"] = f"/rig:/usr/sbin:/sbin:{environment['PATH']}"
        return tuple(f"{key}={value}" for key, value in environment.items())

    def _filled(self, path: Path) -> str:
        values = {"@python@": sys.executable, "@environment@": " ".join(self.variables), "@stateDir@": STATE}
        text = path.read_text()
        for key, value in values.items():
            text = text.replace(key, value)
        return text

    @property
    def root(self) -> Path:
        """Its root on this machine; what is mounted in it is not seen here."""
        return self.work / "root"

    def path(self, inside: str) -> Path:
        """A file of the running machine, as it sees it."""
        return Path(f"/proc/{self.leader}/root{inside}")

    # --- what is done in it

    async def start_program(self, *command: str, **more: object) -> asyncio.subprocess.Process:
        """Start a program in it; the caller waits for it."""
        enter = ("nsenter", f"--target={self.leader}", *_NAMESPACES, "--root", "--wdns=/", "--")
        pipe = asyncio.subprocess.PIPE
        streams = {"stdin": asyncio.subprocess.DEVNULL, "stdout": pipe, "stderr": asyncio.subprocess.STDOUT, **more}
        clean = {"PATH": "/rig:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""}
        return await asyncio.create_subprocess_exec(*enter, *command, env=clean, **streams)  # type: ignore[arg-type]

    async def run(self, *command: str, ok: bool = True) -> str:
        """Run a program in it and return what it said."""
        async with asyncio.timeout(2 * PATIENCE):
            process = await self.start_program(*command)
            said, _ = await process.communicate()
        text = said.decode(errors="replace")
        if ok and process.returncode:
            msg = f"{' '.join(command)} ended with {process.returncode}:\n{text}"
            raise AssertionError(msg)
        return text.rstrip("\n")

    async def inside(self, agent: str, *command: str, ok: bool = True) -> str:
        """Run a program as root in an agent's container."""
        leader = await self.run("machinectl", "show", f"h-{agent}", "-p", "Leader", "--value")
        # As a unit in there: what merely joins the namespaces has powers that nobody inside has, and not its limits.
        run = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--")
        return await self.run("nsenter", "--all", "-t", leader, "--", *run, *command, ok=ok)


#: No filter of system calls, which would keep its systemd from loading the kernel's filters of ports and addresses. The
#: containers in it have theirs.
_SWITCHES: Final = {"SYSTEMD_SECCOMP": "0"}
#: What is there before it boots; on NixOS, by tmpfiles.
_PLACES: Final = (
    *("usr", "rig/usr", "root", "tmp", "var/lib/nixos-containers", "etc/nixos-containers", "var/lib/hyperhive-builder"),
    *("nix/store", "nix/var/nix/daemon-socket", "nix/var/nix/gcroots/hyperhive", "nix/var/nix/profiles/per-container"),
)


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as news:
        news.bind(str(path))
        news.setblocking(False)  # noqa: FBT003 - its only argument
        yield news


def why_not() -> str:
    """Why the tier cannot run here; empty where it can."""
    if os.geteuid():
        return "it needs root"
    wanted = {"systemd-nspawn": "systemd-container", "nsenter": "util-linux", "setpriv": "util-linux"}
    for program, package in wanted.items():
        if shutil.which(program) is None:
            return f"there is no {program} (apt-get install {package})"
    command = ["unshare", "--mount", "--net", "true"]
    trial = subprocess.run(command, capture_output=True, check=False)
    return "namespaces cannot be made" if trial.returncode else ""
