"""How agents are run: one protocol (`base`), one module a runtime."""
