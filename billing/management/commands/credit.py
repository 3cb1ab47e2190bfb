"""Operator credit from the command line, by the service the admin uses."""

import argparse
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.services.passwords import find_user
from billing.services.credits import credit
from billing.services.ledger import wallet_of
from common.errors import DomainError
from common.ids import new_id


def decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError(f"{text} is not an amount") from error


class Command(BaseCommand):
    help = "Credit a user's wallet (CNY)."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("user", help="username, phone or verified e-mail")
        parser.add_argument("amount", type=decimal)
        parser.add_argument("--reason", required=True)
        parser.add_argument("--key", default="", help="idempotency key: the same key credits once")

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user(options["user"])
        if user is None:
            raise CommandError(f"There is no user {options['user']}.")
        if len(options["key"]) > 100:
            raise CommandError("A key has at most 100 characters.")
        key = f"credit:{options['key'] or new_id()}"
        try:
            credit(user=user, amount=options["amount"], key=key, reason=options["reason"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{user.username}: +{options['amount']} CNY, balance {wallet_of(user).balance:.2f} CNY"
        )
