"""The audit of the ledger in SQL: checks every row for what must hold, whatever the guards let through."""

from dataclasses import dataclass
from uuid import UUID

from django.db import connection

ENTRIES = """
WITH chain AS (
  SELECT wallet_id, sequence, amount, held_delta, gift_delta, balance_after, held_after, gift_after,
         lag(sequence, 1, 0::bigint) OVER w AS sequence_before,
         lag(balance_after, 1, 0::numeric) OVER w AS balance_before,
         lag(held_after, 1, 0::numeric) OVER w AS held_before,
         lag(gift_after, 1, 0::numeric) OVER w AS gift_before
    FROM billing_ledgerentry WINDOW w AS (PARTITION BY wallet_id ORDER BY sequence)
), sums AS (
  SELECT wallet_id, max(sequence) AS sequence, sum(amount) AS balance, sum(held_delta) AS held, sum(gift_delta) AS gift,
         bool_and(sequence = sequence_before + 1) AS is_gapless,
         bool_and(balance_after = balance_before + amount AND held_after = held_before + held_delta
                  AND gift_after = gift_before + gift_delta) AS is_chained
    FROM chain GROUP BY wallet_id
)
SELECT w.id, CASE
         WHEN NOT coalesce(is_gapless, true) THEN 'sequence'
         WHEN NOT coalesce(is_chained, true) THEN 'chain'
         ELSE 'sums' END
  FROM billing_wallet w LEFT JOIN sums s ON s.wallet_id = w.id
 WHERE NOT coalesce(is_gapless AND is_chained, true) OR w.sequence <> coalesce(s.sequence, 0)
    OR w.balance <> coalesce(s.balance, 0) OR w.held <> coalesce(s.held, 0) OR w.gift <> coalesce(s.gift, 0)
"""

CHECKS = {
    # balance, held and gift are the sums of the entries, numbered without gaps, each following from the one before
    "entries": ENTRIES,
    # held is the rest of the open holds
    "holds": """
        SELECT w.id, 'holds' FROM billing_wallet w
          LEFT JOIN billing_hold h ON h.wallet_id = w.id AND h.status = 'open'
         GROUP BY w.id HAVING w.held <> coalesce(sum(h.amount - h.captured - h.released), 0)""",
    # gift is what is left of the gifts
    "gifts": """
        SELECT w.id, 'gifts' FROM billing_wallet w LEFT JOIN billing_gift g ON g.wallet_id = w.id
         GROUP BY w.id HAVING w.gift <> coalesce(sum(g.remaining), 0)""",
    # a bill is what its hold captured, and every closed hold of a job that captured something has one
    "bills": """
        SELECT coalesce(b.wallet_id, h.wallet_id), 'bills' FROM billing_hold h
          LEFT JOIN billing_bill b ON b.hold_id = h.id
         WHERE h.purpose = 'job' AND (b.amount <> h.captured OR b.id IS NOT NULL AND h.status = 'open'
               OR h.status = 'closed' AND h.captured > 0 AND b.id IS NULL)""",
    # a bill's lines add up to it
    "lines": """
        SELECT b.wallet_id, 'lines' FROM billing_bill b JOIN billing_billline l ON l.bill_id = b.id
         GROUP BY b.id HAVING b.amount <> round(sum(l.amount), 2)""",
    # what was consumed is what the bills say, and what open holds captured so far
    "consumption": """
        SELECT w.id, 'consumption' FROM billing_wallet w
          LEFT JOIN (SELECT wallet_id, sum(-amount) AS total FROM billing_ledgerentry WHERE kind = 'consume'
                      GROUP BY wallet_id) c ON c.wallet_id = w.id
          LEFT JOIN (SELECT wallet_id, sum(amount) AS total FROM billing_bill GROUP BY wallet_id) b
                 ON b.wallet_id = w.id
          LEFT JOIN (SELECT wallet_id, sum(captured) AS total FROM billing_hold
                      WHERE status = 'open' AND purpose = 'job' GROUP BY wallet_id) h ON h.wallet_id = w.id
         WHERE coalesce(c.total, 0) <> coalesce(b.total, 0) + coalesce(h.total, 0)""",
    # refunds are what their entries gave, and never more than the bill
    "refunds": """
        SELECT b.wallet_id, 'refunds' FROM billing_bill b JOIN billing_refund r ON r.bill_id = b.id
          JOIN billing_ledgerentry e ON e.id = r.entry_id
         GROUP BY b.id HAVING sum(r.amount) > b.amount OR sum(r.amount) <> sum(e.amount)""",
    # paid orders and the entries of their payments are one to one
    "orders": """
        SELECT coalesce(o.wallet_id, e.wallet_id), 'orders'
          FROM (SELECT * FROM billing_rechargeorder WHERE status = 'paid') o
          FULL JOIN (SELECT * FROM billing_ledgerentry WHERE key LIKE 'order:%') e ON e.id = o.entry_id
         WHERE (o.wallet_id, o.amount) IS DISTINCT FROM (e.wallet_id, e.amount) OR e.kind <> 'recharge'""",
    # what went back by a channel is what its hold captured
    "withdrawals": """
        SELECT h.wallet_id, 'withdrawals' FROM billing_refundorder r JOIN billing_hold h ON h.id = r.hold_id
         WHERE h.amount <> r.amount OR h.status <> CASE r.status WHEN 'pending' THEN 'open' ELSE 'closed' END
            OR h.captured <> CASE r.status WHEN 'succeeded' THEN r.amount ELSE 0 END""",
    # what a chargeback collected is what its entries took
    "chargebacks": """
        SELECT r.wallet_id, 'chargebacks' FROM billing_receivable r
          LEFT JOIN (SELECT wallet_id, split_part(key, ':', 2) AS id, sum(-amount) AS total FROM billing_ledgerentry
                      WHERE kind = 'chargeback' GROUP BY 1, 2) e ON e.wallet_id = r.wallet_id AND e.id = r.id::text
         WHERE r.collected <> coalesce(e.total, 0)""",
    # nothing is negative
    "negative": """
        SELECT id, 'negative' FROM billing_wallet
         WHERE balance < 0 OR held < 0 OR gift < 0 OR held > balance OR gift > balance""",
}


@dataclass(frozen=True)
class Fault:
    """A wallet that does not add up, and the check (a key of CHECKS) that says so; `detail` is its part that failed."""

    check: str
    wallet_id: UUID
    detail: str


def audit_ledger() -> list[Fault]:
    """Every fault of the ledger, in a constant number of statements."""
    faults = []
    with connection.cursor() as cursor:
        for check, statement in CHECKS.items():
            cursor.execute(statement)
            faults += [Fault(check, wallet, detail) for wallet, detail in cursor.fetchall()]
    return faults
