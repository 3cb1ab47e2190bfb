"""New users."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.errors import EmailTaken, PhoneTaken, UsernameTaken
from accounts.models import User
from accounts.services import codes
from accounts.signals import user_registered
from common.errors import DomainError, Invalid

TAKEN: dict[str, type[DomainError]] = {"username": UsernameTaken, "phone": PhoneTaken, "email": EmailTaken}


def check_password_rules(password: str, user: User) -> None:
    """Raises Invalid with the validators' words."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from error


def taken(error: IntegrityError) -> DomainError:
    """Which unique column another user already holds, told from the constraint's name."""
    name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or ""
    for column, refusal in TAKEN.items():
        if name.startswith(f"accounts_user_{column}"):
            return refusal()
    raise error


def save_new_user(*, user: User) -> None:
    """Save a user with what every user has (wallet, drive, trial credit: by the signal), in one transaction.

    Raises UsernameTaken, PhoneTaken, EmailTaken.
    """
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            user_registered.send(sender=User, user=user)
    except IntegrityError as error:
        raise taken(error) from error


def create_user(*, username: str, password: str | None, phone: str | None = None) -> User:
    """Create a user.

    Raises UsernameTaken, PhoneTaken; Invalid for a username of digits that is not the user's phone.
    """
    if username.isdigit() and username != phone:
        raise Invalid(_("A username of digits must be your own phone number."), field="username")
    user = User(username=username, phone=phone)
    user.set_password(password)
    save_new_user(user=user)
    return user


def register(*, username: str, phone: str, code: str, password: str) -> User:
    """Register with a phone code. Nothing about other users is told before the code is right.

    Raises CodeInvalid, Invalid (password rules), UsernameTaken, PhoneTaken; the code then stays usable.
    """
    # Before the code, so that a password to be corrected costs no guess.
    check_password_rules(password, User(username=username, phone=phone))
    now = timezone.now()
    found = codes.count_guess(phone=phone, purposes=codes.FOR_REGISTERING, code=code, now=now)
    with transaction.atomic():
        codes.consume(found, now=now)
        return create_user(username=username, password=password, phone=phone)
