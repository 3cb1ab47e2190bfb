"""The operators' view of money. The ledger and everything derived from it is read-only; services write it."""

from billing.admin import (
    bills,
    invoices,
    ledger,
    membership,
    orders,
    prices,
    reconciliation,
    refunds,
    statements,
    vouchers,
)

__all__ = [
    "bills",
    "invoices",
    "ledger",
    "membership",
    "orders",
    "prices",
    "reconciliation",
    "refunds",
    "statements",
    "vouchers",
]
