"""Creates the first operator of the embedded profile."""

import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import User
from accounts.services.registration import create_user


class Command(BaseCommand):
    help = "Create the operator `admin` with a random password in $YUNTU_VAR/admin-password, once."

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.filter(username="admin").exists():
            return
        if not settings.DEBUG:
            raise CommandError("Outside the embedded profile use `manage.py createsuperuser`.")
        password = secrets.token_urlsafe(12)
        target = settings.YUNTU_VAR / "admin-password"
        # In the transaction, so that there is never an operator whose password nobody was told.
        with transaction.atomic():
            user = create_user(username="admin", password=password)
            User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
            target.touch(mode=0o600)
            target.write_text(password + "\n", encoding="utf-8")
        self.stdout.write(f"Operator `admin` created; its password is in {target}")
