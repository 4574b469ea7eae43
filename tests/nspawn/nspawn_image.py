"""The root file system of the tier: a small Debian with systemd, made once with debootstrap and kept in a cache.

It is both the host (its own systemd, with systemd-container) and what the containers have as /usr.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

SUITE: Final = "trixie"  # systemd 257: 252 cannot map the users of a volatile root
PACKAGES: Final = (
    *("systemd", "systemd-sysv", "systemd-container", "dbus", "procps", "iproute2", "git", "ca-certificates"),
    # What a Python and a systemd that were built elsewhere load when they are asked to.
    *("libssl3t64", "libsqlite3-0", "libffi8", "libreadline8t64", "libbz2-1.0", "liblzma5", "zlib1g", "libexpat1"),
    *("libbpf1", "libnss-systemd"),
    # The real thing, for builds on this machine; everywhere else a stand-in comes first.
    *("nix-bin", "libdbi-perl"),
)
#: Seconds.
_MAKE: Final = 900


def cache_directory() -> Path:
    """Where the image lies: outside of the repository, shared by all checkouts."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "hyperhive-tests"


def _name() -> str:
    recipe = hashlib.sha256(" ".join((SUITE, *PACKAGES)).encode()).hexdigest()[:12]
    return f"{SUITE}-{recipe}"


def why_no_image() -> str:
    """Why there is no image and none can be made; empty where there is one or can be."""
    if (cache_directory() / _name()).is_dir() or shutil.which("debootstrap"):
        return ""
    return "no debootstrap to make the containers' file system with (apt-get install debootstrap)"


def image() -> Path:
    """The image; the first call on a machine takes a minute, others wait for it."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    ready = cache / _name()
    with (cache / f"{_name()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not ready.is_dir():
                _make(ready, lock.fileno())
        finally:
            # Closing alone would leave it to whatever debootstrap may have left running.
            fcntl.flock(lock, fcntl.LOCK_UN)
    return ready


def make_image_early() -> None:
    """Begin to make the image if there is none, so that no test's time is spent on it; `image` waits for it."""

    def make() -> None:
        # Whoever needs it tries again, and says why.
        with suppress(RuntimeError, OSError, subprocess.SubprocessError):
            image()

    if not (cache_directory() / _name()).is_dir():
        threading.Thread(target=make, name="image", daemon=True).start()


def _make(ready: Path, lock: int) -> None:
    half = ready.with_name(f"{ready.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    # debootstrap's own default mirror, or the one that the machine's administrator chose.
    mirror = [url] if (url := os.environ.get("HYPERHIVE_TEST_MIRROR")) else []
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(half), *mirror]
    # It holds the lock, too: one that outlives us, as after a kill, is not joined by a second one.
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=_MAKE, check=False, pass_fds=(lock,)
    )
    if done.returncode:
        shutil.rmtree(half, ignore_errors=True)
        msg = f"debootstrap ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
        raise RuntimeError(msg)
    # Each container gets one of its own; with one id for all, systemd would take their journals for one.
    (half / "etc" / "machine-id").write_text("")
    shutil.rmtree(half / "var" / "cache" / "apt", ignore_errors=True)
    half.rename(ready)
