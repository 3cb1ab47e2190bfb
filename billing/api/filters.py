"""Filters of the lists of money."""

from datetime import date, timedelta
from typing import cast
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from accounts.models import User
from billing.models import LedgerEntry, Wallet
from billing.periods import day_of
from billing.selectors import Narrowing, visible_wallet
from billing.services.ledger import wallet_of
from common.errors import Invalid
from common.ids import as_uuid

MONTH = 30
LONGEST = 366
"""Days of a spending."""

WALLET = OpenApiParameter("wallet", OpenApiTypes.UUID, description="One's own in CNY without it.")
FROM = OpenApiParameter("from", OpenApiTypes.DATE, description="First day (Asia/Shanghai).")
TO = OpenApiParameter("to", OpenApiTypes.DATE, description="Last day (Asia/Shanghai).")
TASK = OpenApiParameter("task_id", OpenApiTypes.UUID)
TYPE = OpenApiParameter(
    "type",
    OpenApiTypes.STR,
    description="One kind, or several: `hold,release`. Without it those that changed the balance. "
    + ", ".join(f"`{kind}`" for kind in LedgerEntry.Kind.values),
)


def asked_wallet(request: Request) -> Wallet:
    """Raises Invalid, NotVisible."""
    return named_wallet(cast(User, request.user), asked_id(request, "wallet"))


def named_wallet(user: User, wallet_id: UUID | None) -> Wallet:
    """The wallet with this id, of those that the user sees; without an id their own in CNY. Raises NotVisible."""
    return visible_wallet(user, wallet_id) if wallet_id else wallet_of(user)


def asked_id(request: Request, name: str) -> UUID | None:
    """Raises Invalid."""
    text = request.query_params.get(name)
    if not text:
        return None
    found = as_uuid(text)
    if found is None:
        raise Invalid(field=name)
    return found


def asked_day(request: Request, name: str) -> date | None:
    """Raises Invalid."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        found = parse_date(text)
    except ValueError:
        found = None
    if found is None or not 2000 <= found.year < 9999:
        raise Invalid(_("A day is expected, as in 2026-11-30."), field=name)
    return found


def asked_narrowing(request: Request, first: str = "from", last: str = "to") -> Narrowing:
    """Raises Invalid."""
    return Narrowing(asked_day(request, first), asked_day(request, last), asked_id(request, "task_id"))


def asked_kinds(request: Request) -> list[str]:
    """Raises Invalid."""
    text = request.query_params.get("type")
    kinds = text.split(",") if text else []
    if not set(kinds) <= set(LedgerEntry.Kind.values):
        raise Invalid(field="type")
    return kinds


def asked_period(request: Request) -> tuple[date, date]:
    """First and last day of a spending; the last thirty without them. Raises Invalid."""
    last = asked_day(request, "to") or day_of(timezone.now())
    first = asked_day(request, "from") or last - timedelta(days=MONTH - 1)
    if not first <= last < first + timedelta(days=LONGEST):
        raise Invalid(
            _("A period has its first day before its last, and at most %(days)s days."),
            field="from",
            days=LONGEST,
        )
    return first, last
