"""Reads of money that span models."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import F, Max, Model, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, TruncDate

from accounts.models import User
from billing.models import (
    Bill,
    CreditRequest,
    Gift,
    Hold,
    LedgerEntry,
    Receivable,
    RechargeOrder,
    Refund,
    RefundOrder,
    Statement,
    Wallet,
)
from billing.periods import SHANGHAI, end_of, start_of
from common.errors import NotVisible

Kind = LedgerEntry.Kind
BATCH = 2000
ZERO = Decimal(0)


def visible_wallet(user: User, wallet_id: UUID) -> Wallet:
    """Raises NotVisible."""
    wallet = Wallet.objects.visible_to(user).select_related("user", "team").filter(pk=wallet_id).first()
    if wallet is None:
        raise NotVisible
    return wallet


@dataclass(frozen=True)
class Narrowing:
    """A filter of rows. Days are of Shanghai, both included."""

    first: date | None = None
    last: date | None = None
    task_id: UUID | None = None

    def condition(self) -> Q:
        wanted = Q()
        if self.first:
            wanted &= Q(created_at__gte=start_of(self.first))
        if self.last:
            wanted &= Q(created_at__lt=end_of(self.last))
        if self.task_id:
            wanted &= Q(task_id=self.task_id)
        return wanted


def entry_batches(entries: QuerySet[LedgerEntry]) -> Iterator[list[LedgerEntry]]:
    """Entries of one wallet, newest first, loaded batch by batch while they are consumed: each by a short statement."""
    ordered, below = entries.order_by("-sequence"), None
    while True:
        batch = list((ordered if below is None else ordered.filter(sequence__lt=below))[:BATCH])
        if batch:
            yield batch
        if len(batch) < BATCH:
            return
        below = batch[-1].sequence


def statement_batches(statement: Statement) -> Iterator[list[LedgerEntry]]:
    """The entries of a statement that moved the balance, oldest first, in batches."""
    covered = LedgerEntry.objects.filter(wallet=statement.wallet_id, sequence__lte=statement.last_sequence)
    rows, above = covered.exclude(amount=0).order_by("sequence"), statement.first_sequence - 1
    while batch := list(rows.filter(sequence__gt=above)[:BATCH]):
        yield batch
        above = batch[-1].sequence


def rows_behind(entry: LedgerEntry) -> list[Model]:
    """The rows for which an entry was written: the order, credit, gift or refund, or the hold with what it came to."""
    own = (RechargeOrder, CreditRequest, Gift, Refund, Bill)
    found: list[Model] = [row for model in own for row in model._default_manager.filter(entry=entry)]
    kind, _colon, rest = entry.key.partition(":")
    if kind == "receivable":
        found += Receivable.objects.filter(pk=rest.partition(":")[0])
    # Of the keys hold:KEY, release:KEY and consume:KEY:TOTAL; what extends a hold has a key of its own.
    keys = Q(key__in=[rest, rest.rpartition(":")[0]])
    holds = Hold.objects.filter(
        keys | Q(task_id__isnull=False, task_id=entry.task_id), wallet=entry.wallet_id
    )
    if entry.held_delta:
        found += holds.order_by("pk")
        for model in (Bill, RefundOrder):
            found += model._default_manager.filter(hold__in=holds).order_by("pk")
    return found


class Grouping(StrEnum):
    DAY = "day"
    TASK = "task"
    ENGINE = "engine"
    MEMBER = "member"


def spending(*, wallet: Wallet, first: date, last: date, by: Grouping) -> QuerySet[Any, Any]:
    """What was spent of the wallet from `first` to `last` (days of Shanghai), a row for each of what it is told by.

    `spent` and `refunded` are positive; `group` is a day, the id of a task, an engine or the id of a user, and None or
    empty for what belongs to none. Engine and member of a charge are those of the task's newest hold.
    """
    holds = Hold.objects.filter(task_id=OuterRef("task_id"), wallet_id=OuterRef("wallet_id"))
    newest = holds.order_by("-created_at", "-pk")
    keys: dict[Grouping, Any] = {
        Grouping.DAY: TruncDate("created_at", tzinfo=SHANGHAI),
        Grouping.TASK: F("task_id"),
        Grouping.ENGINE: Subquery(newest.values("engine")[:1]),
        Grouping.MEMBER: Subquery(newest.values("spender")[:1]),
    }
    moved = LedgerEntry.objects.filter(Narrowing(first, last).condition(), wallet=wallet)
    spent, refunded = Q(kind=Kind.CONSUME), Q(kind=Kind.REFUND)
    rows = (
        moved.filter(spent | refunded)
        .order_by()
        .annotate(group=keys[by])
        .values("group")
        .annotate(
            spent=Coalesce(-Sum("amount", filter=spent), ZERO),
            refunded=Coalesce(Sum("amount", filter=refunded), ZERO),
            description=Coalesce(Max("description", filter=spent), Max("description")),
        )
    )
    return rows.order_by("group") if by == Grouping.DAY else rows.order_by("-spent", "group")


def every_day(rows: Any, first: date, last: date) -> list[dict[str, Any]]:
    """The rows of a spending by day, completed by the days on which nothing was spent."""
    known = {row["group"]: row for row in rows}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [known.get(day, {"group": day, "spent": ZERO, "refunded": ZERO}) for day in days]
