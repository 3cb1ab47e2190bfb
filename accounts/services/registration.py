"""New users."""

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.errors import EmailTaken, PhoneTaken, UsernameTaken
from accounts.models import AuditEvent, User
from accounts.services import audit, codes, passwords
from common.errors import DomainError, Invalid

TAKEN: dict[str, type[DomainError]] = {"username": UsernameTaken, "phone": PhoneTaken, "email": EmailTaken}


def taken(error: IntegrityError) -> DomainError:
    """Which unique column another user already holds, told from the constraint's name."""
    name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""
    for column, refusal in TAKEN.items():
        if name.startswith(f"accounts_user_{column}"):
            return refusal()
    raise error


def save_new_user(*, user: User, actor: User | None = None) -> None:
    """Save a user with what every user has (wallet, drive, trial credit: by the signal), in one transaction.

    `actor` is who made them: an operator, or themselves when left out. Raises UsernameTaken, PhoneTaken, EmailTaken.
    """
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            audit.record(AuditEvent.Action.REGISTERED, user=user, actor=actor or user, target=user)
    except IntegrityError as error:
        raise taken(error) from error


def create_user(*, username: str, password: str | None, phone: str | None = None) -> User:
    """Create a user.

    Raises UsernameTaken, PhoneTaken, Busy; Invalid for a username of digits that is not the user's phone.
    """
    user = new_user(username, password, phone)
    save_new_user(user=user)
    return user


def new_user(username: str, password: str | None, phone: str | None) -> User:
    """A user who is not saved yet. Takes the time of a hash."""
    if username.isdigit() and username != phone:
        raise Invalid(_("A username of digits must be your own phone number."), field="username")
    user = User(username=username, phone=phone)
    user.set_password(password)
    return user


def register(*, username: str, phone: str, code: str, password: str) -> User:
    """Register with a phone code. Nothing about other users is told before the code is right.

    Raises CodeInvalid, Busy, Invalid (password rules), UsernameTaken, PhoneTaken; the code then stays usable.
    """
    # Before the code, so that a password to be corrected costs no guess.
    passwords.check_rules(password, User(username=username, phone=phone))
    now = timezone.now()
    found = codes.count_guess(phone=phone, purposes=codes.FOR_REGISTERING, code=code, now=now)
    user = new_user(username, password, phone)
    with transaction.atomic():
        codes.consume(found, now=now)
        save_new_user(user=user)
    return user
