"""What a member level gives, and who has paid for one until when."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.base import MoneyField, Priority
from common.models import Row


class MembershipPlan(Row):
    """What somebody of a member level gets. There is one for each level; operators change what it says.

    `storage_size` are bytes of all personal drives together and `concurrent_frames` frames at once, null for no limit;
    `discount` is the part of the price that is taken off.
    """

    class Level(models.IntegerChoices):
        FREE = 0, _("Free")
        BASIC = 1, _("Basic")
        PRO = 2, _("Pro")
        ENTERPRISE = 3, _("Enterprise")

    level = models.PositiveSmallIntegerField(_("level"), choices=Level.choices, unique=True)
    price = models.DecimalField(_("price for a month"), max_digits=10, decimal_places=2, default=Decimal(0))
    discount = models.DecimalField(_("discount"), max_digits=4, decimal_places=3, default=Decimal(0))
    storage_size = models.PositiveBigIntegerField(_("storage in bytes"), null=True, blank=True)
    concurrent_frames = models.PositiveIntegerField(_("frames at once"), null=True, blank=True)
    weight = models.PositiveSmallIntegerField(_("weight in sharing the farm"), default=1)
    max_priority = models.PositiveSmallIntegerField(
        _("highest priority"), choices=Priority.choices, default=Priority.URGENT
    )

    class Meta:
        verbose_name = _("membership plan")
        verbose_name_plural = _("membership plans")
        constraints = [
            models.CheckConstraint(
                condition=Q(price__gte=0) & (~Q(level=0) | Q(price=0)), name="billing_plan_free_is_free"
            ),
            models.CheckConstraint(
                condition=Q(discount__gte=0, discount__lt=1), name="billing_plan_discount_leaves_something"
            ),
            models.CheckConstraint(condition=Q(weight__gte=1), name="billing_plan_weighs_something"),
        ]

    def __str__(self) -> str:
        return str(self.get_level_display())


class Membership(Row):
    """Somebody's plan and the month that is paid: one row a person, which goes on from month to month.

    active ──period over, not paid──▶ grace ──3 days──▶ ended
      │ ▲        │                      │                 │
      │ └────────┴───────paid───────────┘                 └──bought again──▶ active
      └──period over, cancelled──▶ ended

    `period` counts the renewals, of which each is paid once; `price` is what the month would cost in full at the
    plan that is paid, from which the price of an upgrade is reckoned.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", _("Active")
        GRACE = "grace", _("Payment due")
        ENDED = "ended", _("Ended")

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="membership", verbose_name=_("user")
    )
    plan = models.ForeignKey(MembershipPlan, models.PROTECT, related_name="+", verbose_name=_("plan"))
    next_plan = models.ForeignKey(
        MembershipPlan,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("plan of the next period"),
    )
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.ACTIVE)
    price = MoneyField(_("price of the period"))
    anchor_at = models.DateTimeField(_("months count from"))
    period = models.PositiveIntegerField(_("period"), default=0)
    period_start = models.DateTimeField(_("period from"))
    period_end = models.DateTimeField(_("period until"))
    cancel_at_period_end = models.BooleanField(_("ends with the period"), default=False)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.CheckConstraint(
                condition=Q(period_end__gt=F("period_start")), name="billing_membership_period_lasts"
            ),
            models.CheckConstraint(
                condition=Q(cancel_at_period_end=False) | Q(next_plan__isnull=True),
                name="billing_membership_goes_on_or_ends",
            ),
        ]
        indexes = [
            models.Index(
                fields=["period_end"],
                condition=Q(status__in=["active", "grace"]),
                name="billing_membership_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.period_start:%Y-%m-%d} {self.get_status_display()}"


class MemberLimit(Row):
    """How much a member may spend of the team's money in a calendar month (Asia/Shanghai). Without one: all of it."""

    team = models.ForeignKey(
        "accounts.Team", models.CASCADE, related_name="member_limits", verbose_name=_("team")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("member")
    )
    amount = models.DecimalField(_("most in a month"), max_digits=12, decimal_places=2)

    class Meta:
        verbose_name = _("member's limit")
        verbose_name_plural = _("members' limits")
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="billing_memberlimit_once"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="billing_memberlimit_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id}: {self.amount}"
