"""The part of docs/options.md that comes from the module: `make options-doc` writes it, a test checks it.

What is known of an option comes from `nixosOptionsDoc`; here it becomes Markdown between two marks.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from nix_bed import ROOT, Nix

PAGE: Final = ROOT / "docs/options.md"
_BEGIN: Final = "<!-- begin: make options-doc -->\n"
_END: Final = "<!-- end: make options-doc -->\n"
_PREFIX: Final = "services.hyperhive."


def render(options: dict[str, Any]) -> str:
    """All options as Markdown, in the order of their names."""
    return "\n".join(_option(name.removeprefix(_PREFIX), options[name]) for name in sorted(options))


def _option(name: str, option: dict[str, Any]) -> str:
    facts = [_as_code(option["type"])]
    parts = [f"### `{name}`\n", _markdown(option["description"]).strip() + "\n"]
    if "default" in option:
        facts.append(f"default {_value(option['default'])}")
    if "example" in option:
        example = option["example"]["text"].strip()
        if "\n" in example:
            parts.append(f"```nix\n{name} = {example};\n```\n")
        else:
            facts.append(f"for example `{example}`")
    return "\n".join([parts[0], " · ".join(facts) + "\n", *parts[1:]])


def _as_code(text: str) -> str:
    """A type as plain words; what looks like markup in it is code."""
    return re.sub(r"(pattern )(\S+)", r"\1`\2`", text)


def _value(value: dict[str, str]) -> str:
    text = value["text"].strip()
    if value["_type"] == "literalMD":
        return _markdown(text)
    return f"`{' '.join(text.split())}`"


def _markdown(text: str) -> str:
    """NixOS' roles are not Markdown's."""
    return re.sub(r"\{[a-z]+\}`([^`]*)`", r"`\1`", text)


def with_options(page: str, options: dict[str, Any]) -> str:
    """The page with the part between its marks written anew."""
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}\n{render(options)}\n{_END}{after}"


def main() -> int:
    """Write the page."""
    with tempfile.TemporaryDirectory(prefix="hyperhive-nix-") as directory:
        nix = Nix.find(Path(directory))
        if isinstance(nix, str):
            sys.stderr.write(f"docs/options.md stays as it is: {nix}\n")
            return 1
        PAGE.write_text(with_options(PAGE.read_text(), nix.evaluate("options")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
