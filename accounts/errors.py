from django.utils.translation import gettext_lazy as _

from common.errors import Conflict, DomainError, Unauthorized


class CodeInvalid(DomainError):
    # The web client finds the field of a message by these Chinese words, so the texts keep them (wire contract §0).
    code, status, text = "code_invalid", 400, _("The verification code is wrong or has expired.")


class UsernameTaken(Conflict):
    code, text = "username_taken", _("This username is already registered.")


class PhoneTaken(Conflict):
    code, text = "phone_taken", _("This phone number is already registered.")


class EmailTaken(Conflict):
    code, text = "email_taken", _("This e-mail address is already registered.")


class WrongCredentials(Unauthorized):
    code, text = "wrong_credentials", _("Wrong account or password.")


class TokenInvalid(Unauthorized):
    code, text = "token_invalid", _("The token is not valid or has expired.")


class TokenReused(Unauthorized):
    code, text = "token_reused", _("This refresh token was used before; the session is ended.")


class SmsFailed(DomainError):
    code, status, text = "sms_failed", 502, _("The text message could not be sent; try again later.")
