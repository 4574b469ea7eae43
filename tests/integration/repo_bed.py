"""A hive's repositories in a temporary directory, and a manager's repository to propose from; with the real git."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from hyperhive.hive.git import program
from hyperhive.hive.layout import Layout
from hyperhive.hive.repos import Repos
from hyperhive.wire import PROPOSAL

if TYPE_CHECKING:
    from pathlib import Path

AGENT = "alice"
WHO = {f"GIT_{who}_{what}": "m@m" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Proposed:
    """The manager's repository: anything may be in it."""

    def __init__(self, path: Path, applied: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("clone", "--quiet", str(applied), ".")

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.path.parent), "GIT_CONFIG_NOSYSTEM": "1", **WHO}

    def git(self, *arguments: str, given: bytes | None = None) -> str:
        """Run git there; what it printed."""
        return self.raw(*arguments, given=given).decode("utf-8", "surrogateescape").strip()

    def raw(self, *arguments: str, given: bytes | None = None) -> bytes:
        """The same as it is, for what is no text."""
        done = subprocess.run(
            [program(), *arguments], cwd=self.path, env=self.environment, check=True, input=given, capture_output=True
        )
        return done.stdout

    def commit(self, files: dict[str, bytes | str]) -> str:
        """Commit files beside those that are there; the hash."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")
        return self.git("rev-parse", "HEAD")

    def blob(self, content: bytes) -> str:
        """Store a blob; its hash."""
        return self.git("hash-object", "-w", "--stdin", given=content)

    def raw_tree(self, *entries: tuple[str, bytes, str]) -> str:
        """Store a tree with entries (mode, name, hash) that git itself would not make; its hash."""
        body = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(one) for mode, name, one in entries)
        return self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=body)

    def commit_tree(self, tree: str) -> str:
        """Commit a tree on top of what is there; the hash."""
        return self.git("commit-tree", tree, "-p", "HEAD", "-m", "a change")

    def bundle(self, commit: str, *more: str, version: int = 2) -> Path:
        """Bundle a commit as the harness does."""
        self.git("update-ref", PROPOSAL, commit)
        path = self.path.parent / f"{commit[:12]}.bundle"
        self.git("bundle", "create", "--quiet", f"--version={version}", str(path), PROPOSAL, *more)
        return path


def make_repos(root: Path) -> tuple[Repos, Layout]:
    """The repositories of a new hive below `root`."""
    layout = Layout(root / "hive", root / "hive" / "run").make()
    return Repos(layout), layout
