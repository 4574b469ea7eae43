"""The process inside an agent's container: it takes messages from the hive and gives each to Claude as one turn.

It listens nowhere. Everything it knows about its agent comes from the hive over one Unix socket, everything it finds
out goes back over it. `python -m hyperhive.harness` runs it; `hyperhive.harness.main.run` is the same for tests.
"""
