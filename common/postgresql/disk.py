"""Waiting for the disk after commits that did not."""

from common.compiled import planned_cursor

# An empty message of logical replication: a record in the log, waited for with all that was before it.
WAIT = "SELECT pg_logical_emit_message(false, '', '', true)"


def wait_for_disk() -> None:
    """Return once everything that this connection has committed is on the disk.

    For functions that commit with `synchronous_commit = off`, so that they hold no lock meanwhile. Those who wait at
    the same time share one write. Acknowledge nothing before this returns.
    """
    with planned_cursor() as cursor:
        cursor.execute(WAIT)
