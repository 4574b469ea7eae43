"""The only place that writes SQL: tables, engines, the group-commit writer, one module of statements a noun.

Everything else talks to `Store`: `submit` an operation and get its result once it is on disk, `note` one that may ride
along with the next commit, `read` on a small thread pool. SQLite is the engine of one host, PostgreSQL of several; no
statement here is of one of them alone, but for `space`, which gives room on the disk back.
"""
