"""Plans that are paid by the month, what is given back of bills, and what members may spend of a team's money."""

from decimal import Decimal

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import billing.models.base
import common.ids


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0012_app_passwords"),
        ("billing", "0015_price_rules_by_unit_and_priority"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="MembershipPlan",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "level",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "Free"), (1, "Basic"), (2, "Pro"), (3, "Enterprise")],
                        unique=True,
                        verbose_name="level",
                    ),
                ),
                (
                    "price",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0"),
                        max_digits=10,
                        verbose_name="price for a month",
                    ),
                ),
                (
                    "discount",
                    models.DecimalField(
                        decimal_places=3, default=Decimal("0"), max_digits=4, verbose_name="discount"
                    ),
                ),
                (
                    "storage_size",
                    models.PositiveBigIntegerField(blank=True, null=True, verbose_name="storage in bytes"),
                ),
                (
                    "concurrent_frames",
                    models.PositiveIntegerField(blank=True, null=True, verbose_name="frames at once"),
                ),
                (
                    "weight",
                    models.PositiveSmallIntegerField(default=1, verbose_name="weight in sharing the farm"),
                ),
                (
                    "max_priority",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "Low"), (1, "Normal"), (2, "High"), (3, "Urgent")],
                        default=3,
                        verbose_name="highest priority",
                    ),
                ),
            ],
            options={
                "verbose_name": "membership plan",
                "verbose_name_plural": "membership plans",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("price__gte", 0),
                            models.Q(models.Q(("level", 0), _negated=True), ("price", 0), _connector="OR"),
                        ),
                        name="billing_plan_free_is_free",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("discount__gte", 0), ("discount__lt", 1)),
                        name="billing_plan_discount_leaves_something",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("weight__gte", 1)), name="billing_plan_weighs_something"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MemberLimit",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "amount",
                    models.DecimalField(decimal_places=2, max_digits=12, verbose_name="most in a month"),
                ),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="member_limits",
                        to="accounts.team",
                        verbose_name="team",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="member",
                    ),
                ),
            ],
            options={
                "verbose_name": "member's limit",
                "verbose_name_plural": "members' limits",
                "constraints": [
                    models.UniqueConstraint(fields=("team", "user"), name="billing_memberlimit_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gte", 0)), name="billing_memberlimit_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("grace", "Payment due"), ("ended", "Ended")],
                        default="active",
                        max_length=10,
                        verbose_name="status",
                    ),
                ),
                (
                    "price",
                    billing.models.base.MoneyField(
                        decimal_places=6, max_digits=18, verbose_name="price of the period"
                    ),
                ),
                ("anchor_at", models.DateTimeField(verbose_name="months count from")),
                ("period", models.PositiveIntegerField(default=0, verbose_name="period")),
                ("period_start", models.DateTimeField(verbose_name="period from")),
                ("period_end", models.DateTimeField(verbose_name="period until")),
                (
                    "cancel_at_period_end",
                    models.BooleanField(default=False, verbose_name="ends with the period"),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="membership",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "next_plan",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.membershipplan",
                        verbose_name="plan of the next period",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.membershipplan",
                        verbose_name="plan",
                    ),
                ),
            ],
            options={
                "verbose_name": "membership",
                "verbose_name_plural": "memberships",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status__in", ["active", "grace"])),
                        fields=["period_end"],
                        name="billing_membership_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("period_end__gt", models.F("period_start"))),
                        name="billing_membership_period_lasts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cancel_at_period_end", False), ("next_plan__isnull", True), _connector="OR"
                        ),
                        name="billing_membership_goes_on_or_ends",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Refund",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=common.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created at")),
                ("updated_at", models.DateTimeField(auto_now=True, verbose_name="updated at")),
                ("amount", models.DecimalField(decimal_places=2, max_digits=14, verbose_name="amount")),
                ("reason", models.CharField(max_length=500, verbose_name="reason")),
                (
                    "actor",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="operator",
                    ),
                ),
                (
                    "bill",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refunds",
                        to="billing.bill",
                        verbose_name="bill",
                    ),
                ),
                (
                    "entry",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="refund",
                        to="billing.ledgerentry",
                        verbose_name="ledger entry",
                    ),
                ),
            ],
            options={
                "verbose_name": "refund of a bill",
                "verbose_name_plural": "refunds of bills",
                "permissions": [("refund_bill", "Can give back what a bill took")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount__gt", 0)), name="billing_refund_amount_positive"
                    )
                ],
            },
        ),
    ]
