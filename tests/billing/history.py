"""Rows of another time: what only tests may do to the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, models


@contextmanager
def without_triggers(*tables: str) -> Iterator[None]:
    """Rows that no guard lets through."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with pending checks is not altered
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def set_created(row: models.Model, moment: datetime) -> None:
    """As if `row` had been written then."""
    manager: Any = type(row)._default_manager
    with without_triggers(row._meta.db_table):
        manager.filter(pk=row.pk).update(created_at=moment)
    row.refresh_from_db()
