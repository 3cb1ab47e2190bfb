"""Operator credit from the command line, by the service the admin uses."""

import argparse
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services.sessions import find_user
from billing.services.ledger import credit, wallet_of
from common.ids import new_id


def positive_fen(text: str) -> Decimal:
    """An amount > 0 in whole fen, at most ten million yuan."""
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text} is not an amount") from error
    if not amount.is_finite() or not 0 < amount <= 10_000_000 or amount != amount.quantize(Decimal("0.01")):
        raise argparse.ArgumentTypeError(
            "an amount is more than 0, at most 10000000, with at most two decimals"
        )
    return amount


class Command(BaseCommand):
    help = "Credit a user's wallet (CNY)."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("user", help="username, phone or verified e-mail")
        parser.add_argument("amount", type=positive_fen)
        parser.add_argument("--reason", required=True)
        parser.add_argument("--key", default="", help="idempotency key: the same key credits once")

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["user"])
        if user is None:
            raise CommandError(f"There is no user {options['user']}.")
        if not options["reason"].strip():
            raise CommandError("A reason is needed.")
        key = f"credit:{options['key'] or new_id()}"
        credit(user=user, amount=options["amount"], key=key, reason=options["reason"])
        self.stdout.write(
            f"{user.username}: +{options['amount']} CNY, balance {wallet_of(user).balance:.2f} CNY"
        )
