"""The two APIs: what an agent may do, on its socket; what the operator may do. Both are thin over `hyperhive.hive`."""
