"""Which files of this host every sandbox shows: programs and libraries, the network's configuration, certificates.

Of `/etc` only what is listed here, entry by entry: anything else in it may be somebody's secret.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TREES: Final = (Path("/usr"), Path("/nix/store"))
#: Directories on some hosts, links into /usr on others; on NixOS mostly absent.
_MAYBE_LINKS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc/static", "run/current-system")
_ETC: Final = (
    *("ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "ca-certificates", "ca-certificates.conf"),
    *("pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust", "crypto-policies"),
    *("resolv.conf", "hosts", "host.conf", "gai.conf", "nsswitch.conf", "protocols", "services", "networks"),
    *("localtime", "timezone", "zoneinfo", "locale.conf", "locale.alias", "terminfo"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives"),
    *("os-release", "lsb-release", "debian_version", "mime.types", "magic", "bash.bashrc", "inputrc"),
)


def host_files(root: Path = Path("/")) -> tuple[dict[Path, Path], dict[Path, str]]:
    """What to show read-only (path inside → path on the host) and which links to make (path inside → target)."""
    shown: dict[Path, Path] = {tree: tree for tree in _TREES if (root / tree.relative_to("/")).is_dir()}
    links: dict[Path, str] = {}
    for name in _MAYBE_LINKS:
        inside, here = Path("/") / name, root / name
        if here.is_symlink():
            links[inside] = str(here.readlink())
        elif here.is_dir():
            shown[inside] = inside
    for name in _ETC:
        here = (root / "etc" / name).resolve()
        # What the hive itself cannot read, bwrap cannot show either.
        if here.exists() and os.access(here, os.R_OK):
            shown[Path("/etc") / name] = here
    return shown, links
