"""The daemon: broker, agents and their sockets, lifecycle, what the pages are told."""
