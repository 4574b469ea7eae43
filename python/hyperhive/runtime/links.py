"""Symbolic links on the way to a file: whoever rebuilds a part of the file system has to rebuild them, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

#: As many as the kernel follows.
_MOST: Final = 40


def link_chain(path: Path) -> tuple[list[tuple[Path, Path]], Path]:
    """Every link on the way from `path`, those of directories included, with its target; and what is at the end."""
    links: list[tuple[Path, Path]] = []
    path = path.absolute()
    while len(links) < _MOST:
        link = next((step for step in (*reversed(path.parents), path) if step.is_symlink()), None)
        if link is None:
            break
        target = Path(os.path.normpath(link.parent / link.readlink()))
        links.append((link, target))
        path = target / path.relative_to(link)
    return links, path
