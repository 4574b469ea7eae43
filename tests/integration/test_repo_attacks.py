"""What an agent can put into a repository or a bundle: nothing of it runs, reaches a file of the host or deceives.

Each trap calls a canary, a program that leaves a file. That the traps work is tried first, with git as people run it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import zlib
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from broker_bed import DEADLINE
from repo_bed import AGENT, Proposed, make_repos

from hyperhive.errors import HiveError
from hyperhive.hive import differences
from hyperhive.hive import git as git_module
from hyperhive.hive.git import git, program
from hyperhive.wire import PROPOSAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hyperhive.hive.layout import Layout
    from hyperhive.hive.repos import Repos

NIX = "{ pkgs, ... }:\n{\n  environment.systemPackages = [ pkgs.jq ];\n}\n"


class Canary:
    """A program that leaves a file, and the places from which git would run it."""

    def __init__(self, place: Path) -> None:
        self.sang = place / "sang"
        self.program = place / "canary"
        self.program.write_text(f"#!/bin/sh\necho >>'{self.sang}' \"$0 $*\"\ncat\n")
        self.program.chmod(0o755)
        self.config = (
            f"[core]\n\tpager = {self.program}\n\tfsmonitor = {self.program}\n\tsshCommand = {self.program}\n"
            f"\thooksPath = {place}/hooks\n\teditor = {self.program}\n"
            f'[diff "evil"]\n\ttextconv = {self.program}\n\tcommand = {self.program}\n'
            f'[filter "evil"]\n\tclean = {self.program}\n\tsmudge = {self.program}\n\tprocess = {self.program}\n'
            f"[diff]\n\texternal = {self.program}\n[gpg]\n\tprogram = {self.program}\n[tag]\n\tgpgSign = true\n"
            f"[uploadpack]\n\tpackObjectsHook = {self.program}\n[alias]\n\tls-tree = !{self.program}\n"
        )
        hooks = place / "hooks"
        hooks.mkdir()
        for hook in ("reference-transaction", "post-checkout", "post-index-change", "pre-auto-gc", "post-rewrite"):
            (hooks / hook).symlink_to(self.program)

    def poison(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        """Set up the daemon's own surroundings as badly as can be."""
        home.mkdir()
        (home / ".gitconfig").write_text(self.config)
        for name in ("GIT_PAGER", "GIT_EXTERNAL_DIFF", "GIT_EDITOR", "GIT_ASKPASS", "GIT_SSH", "GIT_PROXY_COMMAND"):
            monkeypatch.setenv(name, str(self.program))
        for name, value in {
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "GIT_CONFIG_GLOBAL": home / ".gitconfig",
            "GIT_CONFIG_SYSTEM": home / ".gitconfig",
            "GIT_DIR": home / "elsewhere",
            "GIT_WORK_TREE": home,
            "GIT_INDEX_FILE": home / "index",
            "GIT_OBJECT_DIRECTORY": home / "objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": home / "objects",
            "GIT_NAMESPACE": "other",
            "GIT_TEMPLATE_DIR": home,
            "GIT_EXEC_PATH": home,
            "GIT_TRACE": home / "trace",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.fsmonitor",
            "GIT_CONFIG_VALUE_0": self.program,
            "GIT_CONFIG_PARAMETERS": f"'core.pager'='{self.program}'",
        }.items():
            monkeypatch.setenv(name, str(value))

    def assert_silent(self) -> None:
        assert not self.sang.exists(), self.sang.read_text()


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    place = tmp_path / "canary"
    place.mkdir()
    return Canary(place)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Repos, Layout]:
    return make_repos(tmp_path)


@pytest.fixture
def repos(made: tuple[Repos, Layout]) -> Repos:
    return made[0]


@pytest.fixture
async def proposed(made: tuple[Repos, Layout], tmp_path: Path) -> Proposed:
    await made[0].ensure(AGENT)
    return Proposed(tmp_path / "config", made[1].applied(AGENT))


async def _refused(repos: Repos, commit: str, bundle: Path, code: str = "bad_proposal") -> str:
    """What was said, after nothing was taken in."""
    with pytest.raises(HiveError) as refusal:
        await repos.pin(AGENT, 1, commit, bundle)
    assert refusal.value.code == code, refusal.value
    assert await repos.last(AGENT, "proposal") is None
    return str(refusal.value)


def _left(layout: Layout) -> list[str]:
    """What there is of packs and unfinished things."""
    repository = layout.applied(AGENT)
    return [path.name for path in [*repository.glob("incoming/*"), *repository.glob("objects/pack/tmp*")]]


# --- nothing runs


def test_the_traps_work_where_git_is_run_as_people_run_it(proposed: Proposed, canary: Canary) -> None:
    proposed.commit({".gitattributes": "* diff=evil filter=evil\n", "agent.nix": NIX})
    (proposed.path / ".git" / "config").write_text(canary.config)
    subprocess.run([program(), "-C", str(proposed.path), "diff", "HEAD~1"], check=False, capture_output=True)
    subprocess.run([program(), "-C", str(proposed.path), "status"], check=False, capture_output=True)
    assert len(canary.sang.read_text().splitlines()) >= 2


async def test_nothing_runs_from_config_environment_attributes_or_hooks(
    made: tuple[Repos, Layout], proposed: Proposed, canary: Canary, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    repos, layout = made
    base = await repos.main(AGENT)
    commit = proposed.commit(
        {
            ".gitattributes": "* diff=evil filter=evil merge=evil -text\nagent.nix binary export-ignore\n",
            ".gitconfig": canary.config,
            ".gitmodules": "",
            "hooks/post-checkout": "#!/bin/sh\ntouch sang\n",
            "agent.nix": NIX,
        }
    )
    bundle = proposed.bundle(commit)
    # As the manager could leave its own: where the hive made the directory.
    theirs = layout.proposed(AGENT) / "config"
    theirs.parent.mkdir()
    proposed.path.rename(theirs)
    (theirs / ".git" / "config").write_text(canary.config)
    (theirs / ".git" / "objects" / "info" / "alternates").write_text(f"{tmp_path}/elsewhere\n")
    canary.poison(monkeypatch, tmp_path / "home")

    await repos.ensure("bob")
    assert await repos.pin(AGENT, 1, commit, bundle) == commit
    diff = await repos.diff(AGENT, base, commit)
    await repos.files(AGENT, commit)
    await repos.export(AGENT, commit, tmp_path / "source")
    for kind in ("approved", "denied"):
        await repos.tag(AGENT, kind, 1, commit, "because")
    await repos.advance(AGENT, commit)
    assert await repos.last(AGENT, "denied") == (1, commit)

    canary.assert_silent()
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == [".gitconfig"]
    # And nothing is hidden by what the commit says of its own files.
    assert "+  environment.systemPackages" in diff.text
    assert (tmp_path / "source" / "agent.nix").read_text() == NIX


async def test_git_is_run_on_the_hives_repositories_alone(
    made: tuple[Repos, Layout], proposed: Proposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    repos, layout = made
    seen: list[Path] = []
    real = git_module._start

    async def start(repository: Path, *more: object) -> asyncio.subprocess.Process:
        seen.append(repository)
        return await real(repository, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(git_module, "_start", start)
    commit = proposed.commit({"agent.nix": NIX})
    await repos.pin(AGENT, 1, commit, proposed.bundle(commit))
    await repos.diff(AGENT, await repos.main(AGENT), commit)
    assert set(seen) == {layout.applied(AGENT)}


# --- what a commit may not hold


async def test_a_link_is_refused_wherever_it_leads(repos: Repos, proposed: Proposed) -> None:
    for name, target in {"out": "/etc/shadow", "up": "../../operator-token", "in": "agent.nix"}.items():
        (proposed.path / name).symlink_to(target)
    commit = proposed.commit({})
    said = await _refused(repos, commit, proposed.bundle(commit))
    assert "a symbolic link: 'in', 'out', 'up'" in said


async def test_a_submodule_is_refused_by_its_name(repos: Repos, proposed: Proposed, canary: Canary) -> None:
    head = proposed.git("rev-parse", "HEAD")
    proposed.git("update-index", "--add", "--cacheinfo", f"160000,{head},lib")
    proposed.git("commit", "--quiet", "--message", "a submodule")
    commit = proposed.git("rev-parse", "HEAD")
    assert "a submodule: 'lib'" in await _refused(repos, commit, proposed.bundle(commit))
    canary.assert_silent()


async def test_a_gitmodules_file_that_git_would_run_is_refused_with_gits_word(repos: Repos, proposed: Proposed) -> None:
    commit = proposed.commit({".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = -u./payload\n'})
    assert "git does not take the bundle" in await _refused(repos, commit, proposed.bundle(commit))


@pytest.mark.parametrize(
    "name",
    [
        *(b".git", b"..", b".", b".GIT", b".Git", b"a/b", b"../out", b"/etc/x"),
        *(b"a\nb", b"a\rb", b"a\x1b[2Jb", b"a\x7fb", b"a\xffb", b"x" * 256),
        *("a\u202eb".encode(), "a\u200bb".encode()),
    ],
)
async def test_a_name_that_leads_elsewhere_or_reads_otherwise_is_refused(
    repos: Repos, proposed: Proposed, name: bytes
) -> None:
    tree = proposed.raw_tree(("100644", name, proposed.blob(b"x")))
    commit = proposed.commit_tree(tree)
    await _refused(repos, commit, proposed.bundle(commit))


@pytest.mark.parametrize("name", ["-rf", "--output=x", "a b", 'q"uote', "it's", "ünïcode", "日本", "$(x)", ":!x", "*"])
async def test_an_odd_but_honest_name_is_taken_and_quoted(
    repos: Repos, proposed: Proposed, name: str, tmp_path: Path
) -> None:
    base = await repos.main(AGENT)
    commit = proposed.commit({name: "content\n"})
    await repos.pin(AGENT, 1, commit, proposed.bundle(commit))
    assert [change.path for change in (await repos.diff(AGENT, base, commit)).files] == [name]
    await repos.export(AGENT, commit, tmp_path / "source")
    assert (tmp_path / "source" / name).read_text() == "content\n"
    assert name in [file.path for file in await repos.files(AGENT, commit)]


async def test_two_files_of_one_name_are_refused(repos: Repos, proposed: Proposed) -> None:
    one = proposed.blob(b"x")
    below = proposed.raw_tree(("100644", b"x", one))
    commit = proposed.commit_tree(proposed.raw_tree(("100644", b"a", one), ("40000", b"a", below)))
    await _refused(repos, commit, proposed.bundle(commit))


async def test_large_blobs_are_refused_whether_they_compress_or_not(
    made: tuple[Repos, Layout], proposed: Proposed
) -> None:
    repos, layout = made
    commit = proposed.commit({"zeros": bytes(50_000_000)})
    bundle = proposed.bundle(commit)
    assert bundle.stat().st_size < 200_000
    said = await _refused(repos, commit, bundle)
    assert "50,000,115 bytes" in said or "50,000," in said
    assert "'zeros'" in said
    proposed.git("reset", "--quiet", "--hard", "HEAD~1")
    noise = proposed.commit({"noise": random.Random(1).randbytes(17_000_000)})  # noqa: S311 - no secret
    await _refused(repos, noise, proposed.bundle(noise), "body_too_large")
    assert _left(layout) == []


async def test_too_many_files_are_refused(repos: Repos, proposed: Proposed) -> None:
    one = proposed.blob(b"x")
    commit = proposed.commit_tree(proposed.raw_tree(*(("100644", b"f%04d" % n, one) for n in range(1001))))
    assert "more than 1,000 files" in await _refused(repos, commit, proposed.bundle(commit))


async def test_a_tree_that_unfolds_without_end_is_refused_in_time(repos: Repos, proposed: Proposed) -> None:
    tree = proposed.raw_tree(("100644", b"x", proposed.blob(b"x")))
    for _ in range(20):
        tree = proposed.raw_tree(*(("40000", b"d%d" % n, tree) for n in range(10)))
    commit = proposed.commit_tree(tree)
    async with asyncio.timeout(DEADLINE):
        await _refused(repos, commit, proposed.bundle(commit))


async def test_a_tree_that_unfolds_to_nothing_is_refused_in_time(repos: Repos, proposed: Proposed) -> None:
    tree = proposed.raw_tree()
    for _ in range(20):
        tree = proposed.raw_tree(*(("40000", b"d%d" % n, tree) for n in range(10)))
    commit = proposed.commit_tree(tree)
    async with asyncio.timeout(DEADLINE):
        await _refused(repos, commit, proposed.bundle(commit))


# --- what is no bundle of it


def _changed(bundle: Path, change: Callable[[bytes], bytes]) -> Path:
    bundle.write_bytes(change(bundle.read_bytes()))
    return bundle


def _repacked(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The bundle with another pack, whose checksum is right."""
    head, _, pack = data.partition(b"\n\n")
    body = change(pack[:-20])
    return head + b"\n\n" + body + hashlib.sha1(body).digest()  # noqa: S324 - git's own


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _data: b"",
    "no bundle": lambda data: b"PACK" + data,
    "a script": lambda _data: b"#!/bin/sh\ntouch sang\n",
    "head alone": lambda data: data.partition(b"PACK")[0],
    "no end of the head": lambda data: data[:60],
    "half": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "a bit turned": lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:],
    "more behind it": lambda data: data + b"PACK and more",
    "another version": lambda data: data.replace(b"# v2", b"# v9", 1),
    "a prerequisite": lambda data: data.replace(b"bundle\n", b"bundle\n-" + b"1" * 40 + b" x\n", 1),
    "a capability": lambda data: data.replace(b"bundle\n", b"bundle\n@filter=blob:none\n", 1),
    "another ref": lambda data: data.replace(PROPOSAL.encode(), b"refs/heads/main", 1),
    "a ref with an option's name": lambda data: data.replace(PROPOSAL.encode(), b"--upload-pack=x", 1),
    "two refs": lambda data: data.replace(b"bundle\n", b"bundle\n" + b"1" * 40 + b" refs/heads/main\n", 1),
    "a zero": lambda data: data.replace(b" " + PROPOSAL.encode(), b" " + PROPOSAL.encode() + b"\0x", 1),
    "no object": lambda data: _repacked(data, lambda pack: pack[:8] + struct.pack(">I", 0)),
    "a promise of more objects": lambda data: _repacked(
        data, lambda pack: pack[:8] + struct.pack(">I", 2**31) + pack[12:]
    ),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_broken_bundle_is_refused_and_leaves_nothing(
    made: tuple[Repos, Layout], proposed: Proposed, how: str
) -> None:
    commit = proposed.commit({"agent.nix": NIX})
    bundle = _changed(proposed.bundle(commit), BROKEN[how])
    await _refused(made[0], commit, bundle)
    assert _left(made[1]) == []
    assert len(list(made[1].applied(AGENT).glob("objects/pack/*.pack"))) == 1


async def test_a_bundle_with_another_commit_than_named_is_refused(repos: Repos, proposed: Proposed) -> None:
    first = proposed.commit({"agent.nix": NIX})
    second = proposed.commit({"agent.nix": "{ }\n"})
    said = await _refused(repos, first, proposed.bundle(second))
    assert second in said
    assert first in said


async def test_a_head_that_names_a_commit_which_is_not_in_the_pack_is_refused(repos: Repos, proposed: Proposed) -> None:
    first = proposed.commit({"agent.nix": NIX})
    second = proposed.commit({"agent.nix": "{ }\n"})
    bundle = _changed(proposed.bundle(first), lambda data: data.replace(first.encode(), second.encode(), 1))
    await _refused(repos, second, bundle)


async def test_what_is_no_commit_is_refused(repos: Repos, proposed: Proposed) -> None:
    blob = proposed.blob(b"x")
    tree = proposed.git("rev-parse", "HEAD^{tree}")
    proposed.git("tag", "--annotate", "--message", "x", "v1")
    for thing in (blob, tree, proposed.git("rev-parse", "v1")):
        await _refused(repos, thing, proposed.bundle(thing))


async def test_more_refs_and_a_thin_bundle_are_refused(repos: Repos, proposed: Proposed) -> None:
    base = proposed.git("rev-parse", "HEAD")
    commit = proposed.commit({"agent.nix": NIX})
    await _refused(repos, commit, proposed.bundle(commit, "main"))
    await _refused(repos, commit, proposed.bundle(commit, f"^{base}"))
    await _refused(repos, commit, proposed.bundle(commit, version=3))


@pytest.mark.parametrize("missing", ["blob", "tree", "parent"])
async def test_what_is_not_in_the_bundle_is_not_taken_from_elsewhere(
    made: tuple[Repos, Layout], proposed: Proposed, missing: str
) -> None:
    repos, layout = made
    commit = proposed.commit({"agent.nix": NIX})
    # The hive has all of it already; a bundle has to bring its own.
    await repos.pin(AGENT, 9, commit, proposed.bundle(commit))
    await git(layout.applied(AGENT), "tag", "--delete", "proposal/9")
    leave_out = {
        "blob": proposed.git("rev-parse", "HEAD:agent.nix"),
        "tree": proposed.git("rev-parse", "HEAD^{tree}"),
        "parent": proposed.git("rev-parse", "HEAD~1"),
    }[missing]
    listed = [line.split(" ")[0] for line in proposed.git("rev-list", "--objects", "HEAD").splitlines()]
    kept = "".join(f"{one}\n" for one in listed if one != leave_out)
    pack = proposed.raw("pack-objects", "--stdout", given=kept.encode())
    bundle = _changed(proposed.bundle(commit), lambda data: data.partition(b"PACK")[0] + pack)
    await _refused(repos, commit, bundle)


async def test_an_object_that_is_larger_than_it_says_is_refused(repos: Repos, proposed: Proposed) -> None:
    commit = proposed.commit({"agent.nix": NIX})
    # One blob that says 10 bytes, and unpacks to 30 million.
    pack = b"PACK" + struct.pack(">II", 2, 1) + bytes([0x3A]) + zlib.compress(bytes(30_000_000))
    bundle = _changed(proposed.bundle(commit), lambda data: _repacked(data, lambda _pack: pack))
    await _refused(repos, commit, bundle)


async def test_a_delta_that_unpacks_to_more_than_all_memory_ends_git_and_nothing_else(
    repos: Repos, proposed: Proposed
) -> None:
    commit = proposed.commit({"agent.nix": NIX})
    size, copies = 0xFFFFFF, 200
    base = bytes(size)
    name = hashlib.sha1(b"blob %d\0" % size + base).digest()  # noqa: S324 - git's own
    delta = _varint(size) + _varint(size * copies) + b"\xf0\xff\xff\xff" * copies
    pack = b"PACK" + struct.pack(">II", 2, 2)
    pack += _object(3, size) + zlib.compress(base) + _object(7, len(delta)) + name + zlib.compress(delta)
    bundle = _changed(proposed.bundle(commit), lambda data: _repacked(data, lambda _pack: pack))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert "git does not take the bundle" in await _refused(repos, commit, bundle)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 1024**2), "kilobytes"


def _varint(number: int) -> bytes:
    """A size as a delta has it."""
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _object(kind: int, size: int) -> bytes:
    """The head of an object in a pack."""
    first, rest = kind << 4 | size & 0xF, size >> 4
    return bytes([first | 0x80]) + _varint(rest) if rest else bytes([first])


# --- only hashes, and for ever


@pytest.mark.parametrize(
    "name",
    [
        *("main", "HEAD", "refs/heads/main", "HEAD~1", "@{-1}", "v1.0", "-", "--help", "--upload-pack=canary", ""),
        *("abcdef", "ABCDEF1", "abcdefg", "abcdef1\n", " abcdef1", "abcdef1^{tree}", "0" * 41, "abcdef1:agent.nix"),
    ],
)
async def test_nothing_but_a_hash_is_a_commit(repos: Repos, proposed: Proposed, name: str) -> None:
    commit = proposed.commit({"agent.nix": NIX})
    assert "is no commit" in await _refused(repos, name, proposed.bundle(commit))


async def test_a_force_push_after_the_request_changes_nothing(repos: Repos, proposed: Proposed, tmp_path: Path) -> None:
    base = await repos.main(AGENT)
    commit = proposed.commit({"agent.nix": NIX})
    bundle = proposed.bundle(commit)
    await repos.pin(AGENT, 1, commit, bundle)
    proposed.git("commit", "--quiet", "--amend", "--message", "another", "--allow-empty")
    (proposed.path / "agent.nix").write_text("builtins.abort\n")
    proposed.git("commit", "--quiet", "--all", "--amend", "--message", "worse")
    proposed.git("update-ref", PROPOSAL, "HEAD")
    proposed.git("reflog", "expire", "--expire=now", "--all")
    proposed.git("gc", "--quiet", "--prune=now")
    bundle.write_bytes(b"gone")
    await repos.export(AGENT, commit, tmp_path / "source")
    assert (tmp_path / "source" / "agent.nix").read_text() == NIX
    assert "environment.systemPackages" in (await repos.diff(AGENT, base, commit)).text


async def test_text_that_reads_otherwise_than_it_is_is_spelled_out(repos: Repos, proposed: Proposed) -> None:
    base = await repos.main(AGENT)
    commit = proposed.commit({"agent.nix": "{ } # \u202e\u2066 harmless\u2069\r\x1b[1A\x1b[2K{ }\n"})
    await repos.pin(AGENT, 1, commit, proposed.bundle(commit))
    text = (await repos.diff(AGENT, base, commit)).text
    assert "<U+202E><U+2066> harmless<U+2069><U+000D><U+001B>[1A<U+001B>[2K{ }" in text
    assert not set(text) & {"\u202e", "\u2066", "\r", "\x1b"}
    (shown,) = await repos.files(AGENT, commit)
    assert "\u202e" not in shown.text


async def test_a_long_difference_is_cut_and_its_files_are_all_named(repos: Repos, proposed: Proposed) -> None:
    base = await repos.main(AGENT)
    commit = proposed.commit({"a.txt": "a line\n" * 60_000, "bin": b"\0" * 1000, "z.nix": NIX, "agent.nix": NIX})
    await repos.pin(AGENT, 1, commit, proposed.bundle(commit))
    diff = await repos.diff(AGENT, base, commit)
    assert diff.truncated
    assert len(diff.text.encode()) <= 256 * 1024
    assert [(change.path, change.added) for change in diff.files] == [
        ("a.txt", 60_000),
        ("agent.nix", 1),
        ("bin", None),
        ("z.nix", 4),
    ]


async def test_files_that_take_for_ever_to_compare_are_named_and_nothing_waits(
    repos: Repos, proposed: Proposed, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = random.Random(1)  # noqa: S311 - no secret
    commit = ""
    for _ in range(2):
        words = "".join(f"{number}\n" for number in numbers.choices(range(100), k=150_000))
        commit = proposed.commit({"large": words, **{f"f{n}": words[n:] for n in range(20)}, "agent.nix": NIX})
        await repos.pin(AGENT, numbers.randrange(100), commit, proposed.bundle(commit))
    before = proposed.git("rev-parse", "HEAD~1")
    monkeypatch.setattr(differences, "_SECONDS", 1.0)
    async with asyncio.timeout(DEADLINE):
        diff = await repos.diff(AGENT, before, commit)
    assert diff.truncated
    assert "Nothing of it is shown" in diff.text
    assert {change.path for change in diff.files} == {"large", *(f"f{n}" for n in range(20))}


async def test_a_file_that_is_too_long_to_read_is_named(repos: Repos, proposed: Proposed) -> None:
    base = await repos.main(AGENT)
    commit = proposed.commit({"a": "a line\n" * 100_000, "agent.nix": NIX})
    await repos.pin(AGENT, 1, commit, proposed.bundle(commit))
    diff = await repos.diff(AGENT, base, commit)
    assert "/dev/null and b/a: too large to be shown, 700,000 bytes" in diff.text
    assert "+  environment.systemPackages" in diff.text
    assert diff.truncated
    assert [(change.path, change.added) for change in diff.files] == [("a", None), ("agent.nix", 1)]


async def test_what_is_too_large_and_what_is_no_text_are_told_apart(repos: Repos, proposed: Proposed) -> None:
    first = proposed.commit({"a": "a line\n" * 100_000, "bin": b"\0\1", "agent.nix": NIX})
    await repos.pin(AGENT, 1, first, proposed.bundle(first))
    second = proposed.commit({"a": "a\n", "bin": b"\0\2", "odd name": "Binary files x and y differ\n" * 30_000})
    await repos.pin(AGENT, 2, second, proposed.bundle(second))
    diff = await repos.diff(AGENT, first, second)
    assert "a/a and b/a: too large to be shown, 700,000 bytes; more than 512 KiB are not compared" in diff.text
    assert "Binary files a/bin and b/bin differ" in diff.text
    assert "/dev/null and b/odd name: too large to be shown, 840,000 bytes" in diff.text
    only_small = proposed.commit({"bin": b"\0\3"})
    await repos.pin(AGENT, 3, only_small, proposed.bundle(only_small))
    assert not (await repos.diff(AGENT, second, only_small)).truncated


# --- crashes and many at once

_PIN = """
import asyncio, sys
from pathlib import Path
from hyperhive.hive.layout import Layout
from hyperhive.hive.repos import Repos
async def main():
    repos = Repos(Layout(Path(sys.argv[1]), Path(sys.argv[1]) / "run"))
    print("ready", flush=True)
    await repos.pin("alice", int(sys.argv[4]), sys.argv[2], Path(sys.argv[3]))
    print("pinned", flush=True)
asyncio.run(main())
"""


async def test_a_daemon_killed_in_the_middle_of_a_pin_leaves_a_usable_repository(
    made: tuple[Repos, Layout], proposed: Proposed
) -> None:
    repos, layout = made
    commit = proposed.commit({"agent.nix": NIX, **{f"f{n}": f"{n}\n" * 1000 for n in range(100)}})
    bundle = proposed.bundle(commit)
    pinned = 0
    for number in range(1, 9):
        arguments = (str(layout.state), commit, str(bundle), str(number))
        child = subprocess.Popen(  # noqa: ASYNC220 - to be killed at an instant
            [sys.executable, "-c", _PIN, *arguments], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        with closing(child.stdout or sys.stdin) as said:
            assert await asyncio.to_thread(said.readline) == "ready\n"
            await asyncio.sleep(0.009 * number)
            # As the kernel would with the whole unit.
            os.kill(child.pid, signal.SIGKILL)
            pinned += await asyncio.to_thread(said.read) == "pinned\n"
        child.wait()
        there = await git(layout.applied(AGENT), "rev-parse", "--verify", f"proposal/{number}^{{commit}}", check=False)
        assert there.text in {commit, ""} or not there.ok
    assert await repos.pin(AGENT, 99, commit, bundle) == commit
    await git(layout.applied(AGENT), "fsck", "--full", "--strict", "--no-dangling")
    assert _left(layout) == []
    assert pinned < 8


async def test_many_proposals_at_once_are_all_pinned(made: tuple[Repos, Layout], proposed: Proposed) -> None:
    repos, layout = made
    base = await repos.main(AGENT)
    commits = [proposed.commit({"agent.nix": f"{{ }} # {number}\n"}) for number in range(20)]
    bundles = [proposed.bundle(commit) for commit in commits]
    pins = (repos.pin(AGENT, n, commit, bundles[n]) for n, commit in enumerate(commits, 1 - 1))
    diffs = (repos.diff(AGENT, base, base) for _ in range(5))
    results = await asyncio.gather(*pins, *diffs)
    assert list(results[:20]) == commits
    await asyncio.gather(*(repos.tag(AGENT, "denied", n, commit, "no") for n, commit in enumerate(commits)))
    # Put in order after so many.
    assert len(list(layout.applied(AGENT).glob("objects/pack/*.pack"))) <= 17
    await git(layout.applied(AGENT), "fsck", "--full", "--strict")
