"""The repository that an agent's configuration begins with: bare, the hive's own, one commit with an empty `agent.nix`.

It is made once for all agents and copied from then on, so that fifty agents cost no more runs of git than one, and
there is never half a repository: a copy gets its name when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from hyperhive.hive.git import git

#: The module that every agent's configuration begins with.
ENTRY: Final = "agent.nix"
#: How names begin of what is no agent's repository, whole or not.
TEMPLATE: Final = ".template."
MAKING: Final = ".making."
_AGENT_NIX: Final = b"""\
# What this agent's system has beside what every agent has. The manager proposes changes of it, the operator decides.
{ pkgs, ... }:
{
  # environment.systemPackages = [ pkgs.jq ];
}
"""
#: Highest of all places for attributes: a `.gitattributes` in a commit could call the whole of a change binary.
_ATTRIBUTES: Final = b"* !diff !text !eol !filter !ident !merge !working-tree-encoding !export-subst !export-ignore\n"
#: The manager reads it from inside its container, with whatever umask the daemon runs. Not 0644: where the group may
#: read, git sets set-group-ID on directories, which `RestrictSUIDSGID` of the daemon's unit forbids.
_CONFIG: Final = {"core.sharedRepository": "0604", "core.logAllRefUpdates": "always", "gc.auto": "0"}


def template_name() -> str:
    """The name under which the template is kept; another one as soon as it would be made otherwise."""
    made_of = repr((_AGENT_NIX, _ATTRIBUTES, sorted(_CONFIG.items()))).encode()
    return f"{TEMPLATE}{hashlib.sha256(made_of).hexdigest()[:12]}"


async def make_template(into: Path) -> None:
    """Make the repository that all others are copies of.

    Raises:
        HiveError: git is not there or cannot do it.
    """
    await git(into, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", "--object-format=sha1")
    blob = (await git(into, "hash-object", "-w", "--stdin", given=_AGENT_NIX)).text
    tree = (await git(into, "mktree", given=f"100644 blob {blob}\t{ENTRY}\n".encode())).text
    commit = (await git(into, "commit-tree", tree, "-m", "The base alone")).text
    await git(into, "update-ref", "refs/heads/main", commit)
    # Few files: each is brought to the disk with every copy.
    await git(into, "repack", "-a", "-d", "-n", "--quiet")
    await git(into, "pack-refs", "--all")
    for key, value in _CONFIG.items():
        await git(into, "config", key, value)
    (into / "info").mkdir(exist_ok=True)
    (into / "info" / "attributes").write_bytes(_ATTRIBUTES)
    _open(into)


def copy_template(template: Path, repository: Path) -> None:
    """Make `repository` a copy of the template, all of it or nothing."""
    made = Path(tempfile.mkdtemp(prefix=MAKING, dir=repository.parent))
    try:
        shutil.copytree(template, made, dirs_exist_ok=True)
        made.chmod(0o755)
        _settle(made)
        made.rename(repository)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _open(root: Path) -> None:
    """Let everybody read what they can reach."""
    root.chmod(0o755)
    for directory, names, files in os.walk(root):
        for name in names:
            (Path(directory) / name).chmod(0o755)
        for name in files:
            path = Path(directory) / name
            path.chmod(0o444 if "objects" in path.parts else 0o644)


def _settle(root: Path) -> None:
    """Have everything on the disk before it gets its name."""
    for directory, _names, files in os.walk(root):
        for path in (directory, *(os.path.join(directory, name) for name in files)):  # noqa: PTH118 - what os.walk gives
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
