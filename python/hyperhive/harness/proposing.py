"""The tool `request_apply_commit`: a commit of an agent's configuration is bundled here, for the operator to decide."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hyperhive import wire
from hyperhive.errors import HiveError
from hyperhive.harness.tool import make_tool

if TYPE_CHECKING:
    from hyperhive.harness.hive import HiveClient
    from hyperhive.harness.proposal import Configurations
    from hyperhive.harness.tool import Patiently

_REQUEST_APPLY: Final[dict[str, Any]] = {
    "agent": {"type": "string", "minLength": 1, "maxLength": 9, "description": "whose configuration it is"},
    "commit": {
        "type": "string",
        "minLength": 7,
        "maxLength": 40,
        "description": "hash of the commit (git rev-parse HEAD); never the name of a branch or tag",
    },
    "description": {
        "type": "string",
        "maxLength": wire.MAX_DESCRIPTION,
        "description": "what it changes and why; shown to the operator",
    },
}


class ProposalTools:
    """The tools about configuration; there are some in the manager's container alone.

    Args:
        hive: is called.
        patiently: calls it through a restart.
        configurations: the repositories.
    """

    def __init__(self, hive: HiveClient, patiently: Patiently, configurations: Configurations) -> None:
        self._hive, self._patiently, self._configurations = hive, patiently, configurations

    def tools(self) -> list[Any]:
        """The tools."""
        if not self._configurations.there:
            return []
        about = "Ask the operator to put a commit of an agent's configuration in; only the hash of a commit is taken."
        return [make_tool(self.request_apply_commit, "request_apply_commit", about, _REQUEST_APPLY)]

    async def request_apply_commit(self, arguments: dict[str, Any]) -> str:
        """Bundle a commit and ask for it; what is told of that."""
        description = str(arguments.get("description") or "").strip()
        if len(description) > wire.MAX_DESCRIPTION:
            what = f"the description has more than {wire.MAX_DESCRIPTION:,} characters"
            raise HiveError("malformed", what, "Put the rest into the commit's message")
        with tempfile.TemporaryDirectory(prefix="proposal-") as place:
            bundle = Path(place) / "bundle"
            request = wire.ConfigProposal(
                agent=arguments["agent"],
                commit=await self._configurations.bundle(arguments["agent"], arguments["commit"], bundle),
                description=description or None,
                # One key for all tries of this call.
                idempotency_key=secrets.token_hex(16),
            )
            answer, note = await self._patiently(lambda: self._hive.propose(request, bundle))
        return _text(answer) + note


def _text(answer: wire.ApprovalAnswer) -> str:
    commit = (answer.commit or "")[:12]
    return (
        f"Approval {answer.id}: commit {commit} of the configuration of {answer.agent}, {answer.status}. What you do "
        "in the repository from now on does not change it. You get a message when it is decided or fails."
    )
