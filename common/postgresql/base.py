"""Django's PostgreSQL, with a cheaper question whether a kept connection still lives, and statements planned once."""

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base, operations
from django.db.backends.utils import CursorWrapper


class DatabaseOperations(operations.DatabaseOperations):
    """Logs of statements name those of `planned_cursor`, too."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        told: str = super().last_executed_query(cursor, sql, params) or str(sql)
        return told


class DatabaseWrapper(base.DatabaseWrapper):
    """A kept connection is asked at the beginning of each request (`CONN_HEALTH_CHECKS`): here without a round trip."""

    ops_class = DatabaseOperations

    def is_usable(self) -> bool:
        """Whether the server has hung up, which its socket tells: nothing else is to be read from an idle connection.

        A server that vanished without a word shows at the next statement, as one does that goes a moment later.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()

    def planned_cursor(self) -> CursorWrapper:
        """A cursor whose statements a connection plans once (`prepare_threshold`): values go apart from the text.

        Django's own puts them into it, so that every statement is a new one.
        """
        self.ensure_connection()
        with self.wrap_database_errors:
            wrapped: CursorWrapper = self._prepare_cursor(psycopg.Cursor(self.connection))  # type: ignore[attr-defined]
        return wrapped
