"""The audit of the ledger, as a list to compare with the empty one."""

from billing.services.reconciliation import audit_ledger


def violations() -> list[str]:
    """Names of the checks that fail."""
    return sorted({fault.check for fault in audit_ledger()})
