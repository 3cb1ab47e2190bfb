"""Money: wallets, an append-only ledger, holds, prices, bills.

Amounts are Decimal with six places, because a frame can cost less than a fen; bills are whole fen. What must always
hold is held by PostgreSQL: CHECKs here, triggers in the migrations; docs/billing.md lists it all.
"""

from billing.models.alerts import MoneyAlert
from billing.models.approvals import CreditRequest
from billing.models.base import Currency, MoneyField, Priority
from billing.models.bills import Bill, BillLine
from billing.models.documents import Document
from billing.models.holds import Hold
from billing.models.idempotency import IdempotentRequest
from billing.models.invoices import InvoiceLine, InvoiceRequest
from billing.models.membership import MemberLimit, Membership, MembershipPlan
from billing.models.orders import Channel, Receivable, RechargeOrder, RefundOrder
from billing.models.prices import PriceRule
from billing.models.reconciliation import ReconciliationDifference, ReconciliationRun
from billing.models.refunds import Refund
from billing.models.statements import Statement
from billing.models.vouchers import Redemption, Voucher, VoucherBatch
from billing.models.wallets import Gift, LedgerEntry, OwnedQuerySet, Wallet, visible_wallets

__all__ = [
    "Bill",
    "BillLine",
    "Channel",
    "CreditRequest",
    "Currency",
    "Document",
    "Gift",
    "Hold",
    "IdempotentRequest",
    "InvoiceLine",
    "InvoiceRequest",
    "LedgerEntry",
    "MemberLimit",
    "Membership",
    "MembershipPlan",
    "MoneyAlert",
    "MoneyField",
    "OwnedQuerySet",
    "PriceRule",
    "Priority",
    "Receivable",
    "RechargeOrder",
    "ReconciliationDifference",
    "ReconciliationRun",
    "Redemption",
    "Refund",
    "RefundOrder",
    "Statement",
    "Voucher",
    "VoucherBatch",
    "Wallet",
    "visible_wallets",
]
