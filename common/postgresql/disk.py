"""Commits that do not wait for the disk by themselves."""

from common.compiled import planned_cursor

# An empty message of logical replication: a transaction of its own, whose commit waits for all that was before it.
WAIT = "SELECT pg_logical_emit_message(true, '', '')"


def wait_for_disk() -> None:
    """Return once everything this connection has committed is on the disk.

    For functions that commit with `synchronous_commit = off`, so as to hold no lock meanwhile: those who wait at the
    same time share one write. Nothing may be acknowledged before.
    """
    with planned_cursor() as cursor:
        cursor.execute(WAIT)
