"""What keeps a user from signing in, for operators who are asked."""

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import AuditEvent, User
from accounts.services import lockout


def obstacles(user: User) -> list[str]:
    """A sentence for each; also the last failed attempt."""
    found = []
    if user.deleted_at:
        found.append(_("The account was deleted."))
    elif not user.is_active:
        found.append(_("Blocked by an operator."))
    for ip, seconds in lockout.locked_addresses(user).items():
        text = _("Locked after wrong passwords from %(ip)s, for %(minutes)s more minutes.")
        found.append(text % {"ip": ip, "minutes": -(-seconds // 60)})
    if not user.has_usable_password():
        found.append(_("Has no password: signs in by a code, WeChat or a device alone."))
    if user.email and not user.email_verified_at:
        found.append(_("The e-mail is not verified and does not serve for signing in."))
    if not found:
        found.append(_("Nothing is in the way."))
    return [*found, *last_failure(user)]


def last_failure(user: User) -> list[str]:
    failed = user.audit_events.filter(action=AuditEvent.Action.LOGIN_FAILED).order_by("-created_at").first()
    if failed is None:
        return []
    moment = date_format(timezone.localtime(failed.created_at), "SHORT_DATETIME_FORMAT")
    return [_("Last wrong password: %(time)s from %(ip)s.") % {"time": moment, "ip": failed.ip or "-"}]
