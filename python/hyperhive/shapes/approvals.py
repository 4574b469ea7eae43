"""Approvals: what would change, how it builds, and the decisions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hyperhive.clock import Instant
from hyperhive.wire import MAX_REASON, Answer, Request, SpawnSpec

BuildStatus = Literal["none", "running", "ok", "failed"]
"""What `BuildRow.status` says; `none` is where the runtime builds nothing."""


class BuildRow(Answer):
    """What building a commit gave, as it was shown: approving it puts this very `system` in.

    `log` is its last 64 KiB, `units` those that would be restarted, `base` a word for all that it was built with beside
    the commit: with another one it would be another system.
    """

    status: str
    log: str | None = None
    system: str | None = None
    size_bytes: int | None = None
    units: list[str] = Field(default_factory=list)
    base: str | None = None


class FileRow(Answer):
    """A file that a commit changes: `status` is `A`dded, `D`eleted, `M`odified, `R`enamed or `T`ype changed."""

    status: str
    path: str
    old_mode: str
    new_mode: str


class ApprovalRow(Answer):
    """Something that needs the operator's yes: `kind` is `spawn` (a new agent, `spec`) or `apply` (a commit).

    `status` is one of `building pending approved deploying deployed denied cancelled expired failed`;
    `docs/approvals.md` draws them. `diff` is from `base`, which is what ran when it was compared, to `commit`, and
    `files` are all that it changes; `approved_diff` is from `approved`, the commit that was approved last, where that
    is another one. `truncated` says that a diff is not all of it. `stale` is one before which something else was
    deployed: it was compared and built anew since. `reason` says why it was decided or ended so, `note` what else the
    hive has to say.
    """

    id: int
    kind: str
    agent: str
    status: str
    requested_by: str
    requested_at: Instant
    expires_at: Instant
    description: str | None = None
    spec: SpawnSpec | None = None
    commit: str | None = None
    base: str | None = None
    diff: str | None = None
    files: list[FileRow] = Field(default_factory=list)
    approved: str | None = None
    approved_diff: str | None = None
    truncated: bool = False
    closure_diff: str | None = None
    build: BuildRow | None = None
    stale: bool = False
    decided_by: str | None = None
    decided_at: Instant | None = None
    ended_at: Instant | None = None
    reason: str | None = None
    note: str | None = None


class ApprovalsAnswer(Answer):
    """`GET /api/approvals`, newest first, with the beginning of long diffs and logs."""

    approvals: list[ApprovalRow]


class SpawnOrder(SpawnSpec):
    """`POST /api/agents`: an agent that the operator makes at run time."""

    name: str = Field(max_length=64)


class ApproveRequest(Request):
    """`POST /api/approvals/{id}/approve`: of a commit, its hash, so that nothing is approved that was not shown."""

    commit: str | None = Field(None, max_length=64)
    reason: str | None = Field(None, max_length=MAX_REASON)


class DenyRequest(Request):
    """`POST /api/approvals/{id}/deny`: whoever asked is told why."""

    reason: str | None = Field(None, max_length=MAX_REASON)
