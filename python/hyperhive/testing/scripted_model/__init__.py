"""A loopback stand-in for the Anthropic Messages API that plays a scenario per agent.

The real `claude` program talks to it through `ANTHROPIC_BASE_URL`, so that a swarm can be tested, shown and measured
with everything real except the model: no account, no network, the same answers each time. `docs/scripted-model.md`
documents the scenario format.
"""

from __future__ import annotations

from hyperhive.testing.scripted_model.record import RecordedRequest
from hyperhive.testing.scripted_model.scenario import Rule, Scenario, Script
from hyperhive.testing.scripted_model.server import ScriptedModel

__all__ = ["RecordedRequest", "Rule", "Scenario", "Script", "ScriptedModel"]
