"""hyperhive: run a swarm of Claude Code agents, each in a container of its own, with a durable broker between them."""

from __future__ import annotations

__version__ = "0.1.0"
