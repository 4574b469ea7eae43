"""`hyperhive check-config`: the file's mistakes, and on request what this host makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperhive.cli.output import note, say, show_json
from hyperhive.cli.text import plain
from hyperhive.config_file import load_settings
from hyperhive.errors import HiveError
from hyperhive.preflight import look, unapplied

if TYPE_CHECKING:
    from pathlib import Path


def check(config: Path, *, on_this_host: bool, as_json: bool) -> None:
    """Print what is wrong.

    Raises:
        HiveError: `bad_config`, also for what is wrong on this host.
    """
    settings = load_settings(config)
    found = [*(look(settings) if on_this_host else []), *unapplied(settings)]
    errors = [str(finding) for finding in found if finding.level == "error"]
    warnings = [str(finding) for finding in found if finding.level == "warning"]
    if not as_json:
        for warning in warnings:
            note(f"warning: {plain(warning, one_line=True)}")
    if errors:
        where = "on this host, " + "; ".join(errors)
        raise HiveError("bad_config", where, "Correct them and try again", problems=errors, warnings=warnings)
    if as_json:
        show_json({"ok": True, "agents": sorted(settings.agents), "warnings": warnings})
    else:
        count = len(settings.agents)
        say(f"{plain(config)} is right: {count} agent{'' if count == 1 else 's'}")
