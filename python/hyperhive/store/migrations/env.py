"""Alembic's entry: run the versions on the URL that `hyperhive.store.migrate` gives."""

from __future__ import annotations

from alembic import context

from hyperhive.store.engine import open_engine

engine = open_engine(context.config.attributes["url"], write=True)
with engine.connect() as connection:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
