"""What Claude is told: the system prompt of an agent, and the words around the messages that wake it."""

from hyperhive.harness.prompts.system import system_prompt
from hyperhive.harness.prompts.wake import inbox_text, wake_prompt
from hyperhive.harness.prompts.write_down import WRITE_DOWN

__all__ = ["WRITE_DOWN", "inbox_text", "system_prompt", "wake_prompt"]
