"""Wallets, their append-only ledger, and gifts, which are spent first."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.contrib import admin
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from accounts.models import Team, User
from accounts.permissions import Action, roles_with
from billing.models.base import Currency, MoneyField
from common.models import Row

if TYPE_CHECKING:
    from uuid import UUID


class WalletQuerySet(models.QuerySet["Wallet"]):
    def visible_to(self, user: User) -> WalletQuerySet:
        """The user's own, and those of teams in which they see the money."""
        return self.filter(visible_wallets(user))


def visible_wallets(user: User, prefix: str = "") -> Q:
    """The condition on a wallet, at `prefix`, that `user` may see it."""
    seen = Team.objects.filter(members__user=user, members__role__in=roles_with(Action.VIEW_MONEY))
    return Q(**{f"{prefix}user": user}) | Q(**{f"{prefix}team__in": seen})


class OwnedQuerySet(models.QuerySet):
    """Rows that belong to a wallet."""

    def visible_to(self, user: User) -> OwnedQuerySet:
        return self.filter(visible_wallets(user, "wallet__"))


class Wallet(Row):
    """The money of a user or a team in one currency. Only billing.services.ledger writes it, always with an entry.

    balance = paid money + gift; held is the part of it that open holds set aside.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="wallets",
        verbose_name=_("user"),
    )
    team = models.ForeignKey(
        Team, models.PROTECT, null=True, blank=True, related_name="wallets", verbose_name=_("team")
    )
    currency = models.CharField(_("currency"), max_length=10, choices=Currency.choices, default=Currency.CNY)
    balance = MoneyField(_("balance"), default=Decimal(0))
    held = MoneyField(_("held"), default=Decimal(0))
    gift = MoneyField(_("of it given"), default=Decimal(0))
    sequence = models.PositiveBigIntegerField(_("entries"), default=0)
    parked_at = models.DateTimeField(_("parked at"), null=True, blank=True)
    parked_reason = models.CharField(_("why it is parked"), max_length=500, blank=True)

    objects = WalletQuerySet.as_manager()

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        permissions = [
            ("credit_wallet", gettext_noop("Can credit wallets")),
            ("park_wallet", gettext_noop("Can park wallets and put them back to use")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["user", "currency"], name="billing_wallet_one_per_currency"),
            models.UniqueConstraint(fields=["team", "currency"], name="billing_wallet_one_per_team"),
            models.CheckConstraint(
                condition=Q(user__isnull=False, team__isnull=True) | Q(user__isnull=True, team__isnull=False),
                name="billing_wallet_one_owner",
            ),
            models.CheckConstraint(condition=Q(balance__gte=0), name="billing_wallet_balance_not_negative"),
            models.CheckConstraint(
                condition=Q(held__gte=0, held__lte=F("balance")), name="billing_wallet_held_covered"
            ),
            models.CheckConstraint(
                condition=Q(gift__gte=0, gift__lte=F("balance")), name="billing_wallet_gift_covered"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.owner} {self.currency}"

    @property
    @admin.display(description=_("owner"))
    def owner(self) -> User | Team:
        return self.user or cast(Team, self.team)

    @property
    def available(self) -> Decimal:
        return self.balance - self.held

    @property
    def paid(self) -> Decimal:
        """The part that was not given: only this can be paid back."""
        return self.balance - self.gift


class LedgerEntry(Row):
    """One effect on one wallet; never changed, never deleted, not by anyone (triggers).

    `amount` changes the balance, `gift_delta` the part of it that was given, `held_delta` what is set aside.
    """

    class Kind(models.TextChoices):
        RECHARGE = "recharge", _("Recharge")
        CONSUME = "consume", _("Consumption")
        REFUND = "refund", _("Refund")
        GRANT = "grant", _("Grant")
        HOLD = "hold", _("Hold")
        RELEASE = "release", _("Release")
        WITHDRAWAL = "withdrawal", _("Paid back")
        CHARGEBACK = "chargeback", _("Chargeback")
        EXPIRY = "expiry", _("Expiry of a gift")
        CORRECTION = "correction", _("Correction")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="entries", verbose_name=_("wallet"))
    sequence = models.PositiveBigIntegerField(_("number"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    amount = MoneyField(_("amount"))
    held_delta = MoneyField(_("change of held"), default=Decimal(0))
    gift_delta = MoneyField(_("change of gifts"), default=Decimal(0))
    balance_after = MoneyField(_("balance after"))
    held_after = MoneyField(_("held after"))
    gift_after = MoneyField(_("gifts after"), default=Decimal(0))
    key = models.CharField(_("idempotency key"), max_length=120)
    description = models.CharField(_("description"), max_length=500, blank=True)
    task_id: UUID | None = models.UUIDField(_("render task"), null=True, blank=True)  # type: ignore[assignment]
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("operator"),
    )

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        constraints = [
            models.UniqueConstraint(fields=["wallet", "sequence"], name="billing_entry_sequence"),
            models.UniqueConstraint(fields=["wallet", "key"], name="billing_entry_key"),
            models.CheckConstraint(
                condition=Q(kind="recharge", amount__gt=0, held_delta=0, gift_delta=0)
                | Q(kind__in=["grant", "refund"], amount__gt=0, held_delta=0, gift_delta__gte=0)
                & Q(gift_delta__lte=F("amount"))
                | Q(kind="consume", amount__lt=0, held_delta__lte=0, gift_delta__lte=0)
                & Q(gift_delta__gte=F("amount"))
                | Q(kind="hold", amount=0, held_delta__gt=0, gift_delta=0)
                | Q(kind="release", amount=0, held_delta__lt=0, gift_delta=0)
                | Q(kind="withdrawal", amount__lt=0, held_delta__lte=0, gift_delta=0)
                | Q(kind="chargeback", amount__lt=0, held_delta=0, gift_delta=0)
                | Q(kind="expiry", amount__lt=0, held_delta=0, gift_delta=F("amount"))
                | ~Q(amount=0) & Q(kind="correction", held_delta=0, gift_delta=0),
                name="billing_entry_signs",
            ),
        ]
        indexes = [
            models.Index(fields=["task_id"], condition=Q(task_id__isnull=False), name="billing_entry_task"),
            models.Index(fields=["wallet", "-created_at"], name="billing_entry_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount:.2f}"


class Gift(Row):
    """Money that was given, when it expires, and how much of it is left.

    The gift of a wallet that expires first is spent first, and all gifts are spent before paid money.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="gifts", verbose_name=_("wallet"))
    entry = models.OneToOneField(
        LedgerEntry, models.PROTECT, related_name="gift", verbose_name=_("ledger entry")
    )
    amount = MoneyField(_("amount"))
    remaining = MoneyField(_("left"))
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    warned_at = models.DateTimeField(_("told of its end at"), null=True, blank=True, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        verbose_name = _("gift")
        verbose_name_plural = _("gifts")
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gt=0, remaining__gte=0, remaining__lte=F("amount")),
                name="billing_gift_not_exceeded",
            ),
        ]
        indexes = [
            # In the order in which they burn.
            models.Index(
                fields=["wallet", "expires_at", "id"], condition=Q(remaining__gt=0), name="billing_gift_left"
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(remaining__gt=0, expires_at__isnull=False),
                name="billing_gift_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.remaining:.2f} / {self.amount:.2f}"
