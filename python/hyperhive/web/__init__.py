"""What the hive serves: every listening socket, who may come in, the two APIs, the pages."""
