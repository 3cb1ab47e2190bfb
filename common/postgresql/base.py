"""Django's PostgreSQL backend with a cheaper check of kept connections, and with statements that are planned once."""

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base, operations
from django.db.backends.utils import CursorWrapper


class DatabaseOperations(operations.DatabaseOperations):
    """Lets the log of statements show those of `planned_cursor`, too."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        told: str = super().last_executed_query(cursor, sql, params) or str(sql)
        return told


class DatabaseWrapper(base.DatabaseWrapper):
    """Checks a kept connection at the beginning of each request (`CONN_HEALTH_CHECKS`) without a round trip."""

    ops_class = DatabaseOperations

    def is_usable(self) -> bool:
        """Whether the connection is open: its socket shows it, since an idle connection has nothing else to be read.

        A server that vanished without closing it, or that goes a moment later, shows at the next statement.
        """
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0) or super().is_usable()

    def planned_cursor(self) -> CursorWrapper:
        """A cursor whose statements the connection plans once (`prepare_threshold`): values travel apart from the
        text.

        Django's own cursors put the values into the text, so that every statement is a new one to PostgreSQL.
        """
        self.ensure_connection()
        with self.wrap_database_errors:
            wrapped: CursorWrapper = self._prepare_cursor(psycopg.Cursor(self.connection))  # type: ignore[attr-defined]
        return wrapped
