"""Monthly statements: written once from the entries of a month, told in the application and by mail."""

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Sum
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, override

from accounts.services.notifications import notify
from billing.models import LedgerEntry, Statement, Wallet
from billing.periods import month_of, next_month, start_of
from billing.services.operators import LANGUAGE, keepers_of, proved, send_all
from billing.services.statement_documents import statement_pdf

logger = logging.getLogger(__name__)
ZERO = Decimal(0)
MAILED_FOR = timedelta(days=14)
"""A mail that could not be sent so long is not sent any more."""

DUE = """
SELECT w.id FROM billing_wallet w
  LEFT JOIN LATERAL (SELECT last_sequence FROM billing_statement s WHERE s.wallet_id = w.id
                      ORDER BY first_sequence DESC LIMIT 1) s ON true
  JOIN billing_ledgerentry e ON e.wallet_id = w.id AND e.sequence = coalesce(s.last_sequence, 0) + 1
 WHERE e.created_at < %s
"""


class StatementFault(Exception):
    """The entries of a month do not add up; no statement is written of them."""


@dataclass(frozen=True)
class Position:
    """Where the last statement ended, or where every wallet begins."""

    sequence: int = 0
    balance: Decimal = ZERO
    gift: Decimal = ZERO


def write_due(*, now: datetime) -> int:
    """Write the statements of all months that are over, also of those that were missed; how many.

    Run again, late, or by two at once: a month of a wallet is written once. A wallet whose entries do not add up is
    left out, and is for the audit.
    """
    this_month = month_of(now)
    with connection.cursor() as cursor:
        cursor.execute(DUE, [start_of(this_month)])
        due: list[UUID] = [row[0] for row in cursor.fetchall()]
    written = 0
    for wallet_id in due:
        try:
            written += len(write_months(wallet_id, before=this_month))
        except StatementFault:
            logger.exception("no statement was written of wallet %s", wallet_id)
    return written


def write_months(wallet_id: UUID, *, before: date) -> list[Statement]:
    """The statements that the wallet lacks, of months before `before`. Raises StatementFault."""
    with transaction.atomic():
        # Whoever writes an entry holds this lock until it is there: what lies before `before` is complete.
        wallet = Wallet.objects.select_for_update(no_key=True, of=("self",)).get(pk=wallet_id)
        last = Statement.objects.filter(wallet=wallet).order_by("-first_sequence").first()
        position = Position(last.last_sequence, last.closing, last.closing_gift) if last else Position()
        written = []
        while month := next_open_month(wallet, position, before):
            statement = write(wallet, month, position)
            tell(statement)
            written.append(statement)
            position = Position(statement.last_sequence, statement.closing, statement.closing_gift)
        return written


def next_open_month(wallet: Wallet, position: Position, before: date) -> date | None:
    entry = LedgerEntry.objects.filter(wallet=wallet, sequence=position.sequence + 1).first()
    month = month_of(entry.created_at) if entry else None
    return month if month and month < before else None


def write(wallet: Wallet, month: date, position: Position) -> Statement:
    """Sum up the entries of `month` that follow `position`. Raises StatementFault."""
    entries = LedgerEntry.objects.filter(
        wallet=wallet, sequence__gt=position.sequence, created_at__lt=start_of(next_month(month))
    )
    end = entries.order_by("-sequence").first()
    if end is None:
        raise StatementFault("no entries")
    covered = LedgerEntry.objects.filter(
        wallet=wallet, sequence__gt=position.sequence, sequence__lte=end.sequence
    )
    kinds = list(
        covered.order_by()
        .values("kind")
        .annotate(total=Sum("amount"), given=Sum("gift_delta"), n=Count("pk"))
    )
    moved = sum((row["total"] for row in kinds), ZERO)
    given = sum((row["given"] for row in kinds), ZERO)
    if sum(row["n"] for row in kinds) != end.sequence - position.sequence:
        raise StatementFault("entries are missing")
    if (position.balance + moved, position.gift + given) != (end.balance_after, end.gift_after):
        raise StatementFault("opening and entries are not the closing balance")
    return Statement.objects.create(
        wallet=wallet,
        month=month,
        first_sequence=position.sequence + 1,
        last_sequence=end.sequence,
        opening=position.balance,
        moved=moved,
        closing=end.balance_after,
        opening_gift=position.gift,
        closing_gift=end.gift_after,
        closing_held=end.held_after,
        sums={row["kind"]: f"{row['total']:.6f}" for row in sorted(kinds, key=lambda row: row["kind"])},
    )


def tell(statement: Statement) -> None:
    """Notify in the application, including those who have no e-mail."""
    for user in keepers_of(statement.wallet):
        notify(
            user=user,
            title=gettext_noop("Statement of %(month)s"),
            message=gettext_noop("Opening %(opening)s, closing %(closing)s %(currency)s."),
            params=figures(statement),
            action_url=f"/billing#statements?wallet={statement.wallet_id}",
        )


def figures(statement: Statement) -> dict[str, str]:
    return {
        "month": f"{statement.month:%Y-%m}",
        "opening": f"{statement.opening:.2f}",
        "closing": f"{statement.closing:.2f}",
        "currency": statement.wallet.currency,
    }


def mail_due(*, now: datetime, limit: int = 5000) -> int:
    """Mail statements that were not mailed to the proved addresses of their readers; how many.

    Claimed before it is sent, so that two at once send one; where the server takes none of it, the claim is given
    back and the next run tries again. One whose worker dies in between is not mailed: it is in the application.
    """
    waiting = Statement.objects.filter(mailed_at__isnull=True, created_at__gt=now - MAILED_FOR)
    sent = 0
    for statement in waiting.select_related("wallet__user", "wallet__team").order_by("created_at", "pk")[
        :limit
    ]:
        addresses = proved(keepers_of(statement.wallet))
        mine = Statement.objects.filter(pk=statement.pk, mailed_at__isnull=True)
        if not addresses or not mine.update(mailed_at=timezone.now(), updated_at=timezone.now()):
            continue
        if mail(statement, addresses):
            sent += 1
        else:
            Statement.objects.filter(pk=statement.pk).update(mailed_at=None, updated_at=timezone.now())
    return sent


def mail(statement: Statement, addresses: list[str]) -> int:
    with override(LANGUAGE):
        values = figures(statement)
        subject = _("Statement of %(month)s") % values
        text = _(
            "Opening balance %(opening)s %(currency)s, closing balance %(closing)s %(currency)s. The statement with "
            "all entries is attached; as a spreadsheet you find it in your account."
        )
        pdf = statement_pdf(statement)
        return send_all(addresses, subject, text % values, (f"{values['month']}.pdf", pdf, "application/pdf"))
