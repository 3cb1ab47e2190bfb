"""The invariants of the ledger as SQL; each statement must find nothing."""

from django.db import connection

AUDIT = {
    "balance and held are the sums of the entries": """
        SELECT w.id FROM billing_wallet w LEFT JOIN billing_ledgerentry e ON e.wallet_id = w.id GROUP BY w.id
        HAVING w.balance <> coalesce(sum(e.amount), 0) OR w.held <> coalesce(sum(e.held_delta), 0)""",
    "entries are numbered without gaps": """
        SELECT wallet_id FROM billing_ledgerentry GROUP BY wallet_id
        HAVING max(sequence) <> count(*) OR min(sequence) <> 1""",
    "each entry follows from the one before": """
        SELECT id FROM (SELECT id, balance_after - amount - lag(balance_after, 1, 0::numeric) OVER w AS gap,
                               held_after - held_delta - lag(held_after, 1, 0::numeric) OVER w AS held_gap
                          FROM billing_ledgerentry WINDOW w AS (PARTITION BY wallet_id ORDER BY sequence)) chain
         WHERE gap <> 0 OR held_gap <> 0""",
    "held is the rest of the open holds": """
        SELECT w.id FROM billing_wallet w LEFT JOIN billing_hold h ON h.wallet_id = w.id AND h.status = 'open'
         GROUP BY w.id HAVING w.held <> coalesce(sum(h.amount - h.captured - h.released), 0)""",
    "a bill is what its hold captured": """
        SELECT b.id FROM billing_bill b JOIN billing_hold h ON h.id = b.hold_id WHERE b.amount <> h.captured""",
    "every capture has its bill": """
        SELECT h.id FROM billing_hold h LEFT JOIN billing_bill b ON b.hold_id = h.id
         WHERE h.captured > 0 AND b.id IS NULL""",
    "consumption is what the bills say": """
        SELECT w.id FROM billing_wallet w
         WHERE coalesce((SELECT sum(-amount) FROM billing_ledgerentry WHERE wallet_id = w.id AND kind = 'consume'), 0)
            <> coalesce((SELECT sum(amount) FROM billing_bill WHERE wallet_id = w.id), 0)""",
    "nothing is negative": "SELECT id FROM billing_wallet WHERE balance < 0 OR held < 0 OR held > balance",
}


def violations() -> list[str]:
    """Names of the invariants that do not hold."""
    found = []
    with connection.cursor() as cursor:
        for name, statement in AUDIT.items():
            cursor.execute(statement)
            if cursor.fetchall():
                found.append(name)
    return found
