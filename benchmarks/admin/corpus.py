"""Rows of a large platform for the lists of the back office, made by the database itself. Needs Django set up."""

from dataclasses import dataclass

from django.db import connection

USERS = """
INSERT INTO accounts_user (id, created_at, updated_at, password, username, phone, email, avatar, member_level,
    is_active, is_staff, is_superuser, is_guest)
SELECT uuidv7(), now(), now(), '!', 'bench_' || lpad(n::text, 7, '0'), '139' || lpad(n::text, 8, '0'),
    'bench' || n || '@example.com', '', n % 4, true, false, false, false FROM generate_series(1, {users}) n
"""
WALLETS = """
INSERT INTO billing_wallet SELECT made.*
  FROM accounts_user u CROSS JOIN (SELECT * FROM billing_wallet LIMIT 1) sample
 CROSS JOIN LATERAL jsonb_populate_record(
    null::billing_wallet, to_jsonb(sample) || jsonb_build_object(
    'id', uuidv7(), 'user_id', u.id, 'balance', 0, 'held', 0, 'gift', 0, 'sequence', 0)) made
 WHERE u.username LIKE 'bench\\_%'
"""
DRIVES = """
INSERT INTO drives_drive SELECT made.*
  FROM accounts_user u CROSS JOIN (SELECT * FROM drives_drive LIMIT 1) sample
 CROSS JOIN LATERAL jsonb_populate_record(
    null::drives_drive, to_jsonb(sample) || jsonb_build_object(
    'id', uuidv7(), 'user_id', u.id, 'used_size', 1000000, 'reserved_size', 0)) made
 WHERE u.username LIKE 'bench\\_%'
"""
JOBS = """
INSERT INTO rendering_renderjob SELECT made.*
  FROM (SELECT *, row_number() OVER () AS n FROM drives_drive LIMIT {jobs}) d
 CROSS JOIN (SELECT * FROM rendering_renderjob LIMIT 1) sample
 CROSS JOIN LATERAL jsonb_populate_record(
    null::rendering_renderjob, to_jsonb(sample) || jsonb_build_object(
    'id', uuidv7(), 'user_id', d.user_id, 'drive_id', d.id, 'task_name', 'shot ' || d.n, 'status', 5,
    'total_frames', 10, 'done_frames', 10, 'hold_id', null)) made
"""
ENTRIES = """
INSERT INTO billing_ledgerentry SELECT made.*
  FROM (SELECT id, row_number() OVER () AS place FROM billing_wallet) w
  JOIN generate_series(1, {entries}) n ON w.place = n % {users} + 1
 CROSS JOIN (SELECT * FROM billing_ledgerentry WHERE kind = 'correction' LIMIT 1) sample
 CROSS JOIN LATERAL jsonb_populate_record(
    null::billing_ledgerentry, to_jsonb(sample) || jsonb_build_object(
    'id', uuidv7(), 'wallet_id', w.id, 'sequence', 1000 + n, 'key', 'bench:' || n, 'kind', 'recharge',
    'amount', 1, 'held_delta', 0, 'gift_delta', 0, 'description', 'bench ' || n)) made
"""


@dataclass(frozen=True)
class Size:
    """So many users (with a wallet and a drive each), jobs, ledger entries."""

    users: int
    jobs: int
    entries: int

    def __str__(self) -> str:
        return f"{self.users:,} users, {self.jobs:,} jobs, {self.entries:,} ledger entries"


def fill(size: Size) -> None:
    """Rows as of a long life; the books do not add up, and nobody asks them to."""
    figures = {"users": size.users, "jobs": size.jobs, "entries": size.entries}
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            "SET session_replication_role = replica"
        )  # no triggers: the guards of the ledger are not measured
        for statement in (USERS, WALLETS, DRIVES, JOBS, ENTRIES):
            cursor.execute(statement.format(**figures))
        cursor.execute("SET session_replication_role = origin")
        cursor.execute("VACUUM ANALYZE")
