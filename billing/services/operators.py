"""Who is told when something is wrong with money."""

import logging
from collections.abc import Iterable
from smtplib import SMTPException
from typing import Any

from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.db.models import Q
from django.utils.translation import override

from accounts.models import Notification, TeamMember, User
from accounts.permissions import Action, roles_with
from accounts.services.notifications import notify, rendered
from billing.models import Wallet

logger = logging.getLogger(__name__)
LANGUAGE = "zh-hans"


def holders_of(right: str) -> list[User]:
    """Active operators with the right `app.codename`, by a group, by themselves, or because they have all."""
    app, codename = right.split(".")
    named = {"content_type__app_label": app, "codename": codename}
    held = Q(is_superuser=True)
    for where in ("user_permissions", "groups__permissions"):
        held |= Q(**{f"{where}__{name}": value for name, value in named.items()})
    return list(User.objects.filter(held, is_active=True, is_staff=True).distinct().order_by("pk"))


def keepers_of(wallet: Wallet) -> list[User]:
    """Whose wallet it is: the user, or those who see the money of the team."""
    if wallet.user_id:
        return list(User.objects.filter(pk=wallet.user_id, is_active=True))
    managers = TeamMember.objects.filter(team=wallet.team_id, role__in=roles_with(Action.VIEW_MONEY))
    return list(User.objects.filter(pk__in=managers.values("user"), is_active=True).order_by("pk"))


def alert(*, right: str, title: str, message: str, params: dict[str, Any], action_url: str = "") -> None:
    """Tell the operators who hold `right`, in the application and, after the commit, by mail. Texts as of `notify`."""
    told = holders_of(right)
    for operator in told:
        notify(
            user=operator,
            title=title,
            message=message,
            params=params,
            level=Notification.Level.ERROR,
            action_url=action_url,
        )
    with override(LANGUAGE):
        subject, text = rendered(title, params), rendered(message, params)
    addresses = proved(told)
    transaction.on_commit(lambda: send_all(addresses, subject, text), robust=True)


def proved(users: Iterable[User]) -> list[str]:
    return [str(user.email) for user in users if user.email and user.email_verified_at]


def send_all(
    addresses: list[str], subject: str, text: str, attachment: tuple[str, bytes, str] | None = None
) -> int:
    """Mail each of them by one connection, outside of transactions; how many mails the server took."""
    if not addresses:
        return 0
    attached = [attachment] if attachment else []
    mails = [EmailMessage(subject, text, None, [address], attachments=attached) for address in addresses]
    try:
        return get_connection().send_messages(mails) or 0
    except (SMTPException, OSError):
        logger.exception("mails to %s users were not sent: %s", len(addresses), subject)
        return 0
