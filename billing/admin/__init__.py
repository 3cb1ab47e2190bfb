"""The operators' view of money. The ledger and what follows from it is only read; services write it."""

from billing.admin import bills, ledger, orders, prices, reconciliation

__all__ = ["bills", "ledger", "orders", "prices", "reconciliation"]
