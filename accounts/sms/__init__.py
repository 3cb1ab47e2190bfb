"""Text messages. The provider is the setting SMS_BACKEND."""

import json
from typing import Protocol

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string


class SmsProvider(Protocol):
    def send_code(self, phone: str, code: str) -> None:
        """Send a verification code. Raises accounts.errors.SmsFailed when the provider refuses or is away."""


class OutboxSms:
    """The embedded profile's provider: one JSON object a line in $YUNTU_VAR/outbox/sms.jsonl."""

    stand_in = True
    """A system check refuses it when DEBUG is off."""

    def send_code(self, phone: str, code: str) -> None:
        outbox = settings.YUNTU_VAR / "outbox"
        outbox.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"phone": phone, "code": code, "sent_at": timezone.now().isoformat()})
        with (outbox / "sms.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def provider() -> SmsProvider:
    chosen: SmsProvider = import_string(settings.SMS_BACKEND)()
    return chosen
