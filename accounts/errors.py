from django.utils.translation import gettext_lazy as _

from common.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotVisible,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
)


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


class TooManyAppPasswords(Conflict):
    """Data: limit."""

    code, text = "too_many_app_passwords", _("You have as many app passwords as allowed. Revoke one first.")


class WrongPassword(Invalid):
    # Not 401: on a request of somebody signed in that means the token, and clients would refresh and try again.
    code, text = "wrong_password", _("The old password is wrong.")


class LoginLocked(RateLimited):
    code, text = "login_locked", _("Too many failed sign-ins; try again in %(retry_after)s s.")


class Busy(ServiceUnavailable):
    code, text = "busy", _("Too many people sign in at this moment; try again shortly.")


class PhoneNotRegistered(NotVisible):
    code, text = "phone_not_registered", _("This phone number is not registered.")


class TokenInvalid(Unauthorized):
    code, text = "token_invalid", _("The token is not valid or has expired.")


class TokenReused(Unauthorized):
    code, text = "token_reused", _("This refresh token was used before; the session is ended.")


class SmsFailed(DomainError):
    code, status, text = "sms_failed", 502, _("The text message could not be sent; try again later.")


class PhoneRequired(Forbidden):
    code, text = "phone_required", _("Bind a phone number first.")


class TooManyTeams(Conflict):
    code, text = "too_many_teams", _("You own as many teams as allowed.")


class TeamFull(Conflict):
    code, text = "team_full", _("The team has as many members as allowed.")


class TeamInUse(Conflict):
    code, text = "team_in_use", _("The team still has what others need; remove that first.")


class DeletionBegun(Conflict):
    code, text = "deletion_begun", _("The time is over: the account is being deleted.")


class LastOwner(Conflict):
    code, text = "last_owner", _("A team needs an owner who can sign in; make another member owner first.")


class TeamOwned(Conflict):
    code, text = "team_owned", _("The team has an owner who can sign in.")


class AlreadyMember(Conflict):
    code, text = "already_member", _("You are a member of this team already.")


class AlreadyInvited(Conflict):
    code, text = "already_invited", _("This phone number has an open invitation already.")


class InvitationClosed(Conflict):
    """Data: status (accepted, declined, revoked, expired)."""

    code, text = "invitation_closed", _("This invitation is no longer open.")


class AccountBlocked(Forbidden):
    code, text = "account_blocked", _("This account is blocked.")


class WechatUnavailable(DomainError):
    code, status, text = "wechat_unavailable", 503, _("Signing in by WeChat is not set up here.")


class WechatMisconfigured(DomainError):
    code, status, text = "wechat_misconfigured", 502, _("WeChat refuses this platform; the operators know.")


class WechatAway(DomainError):
    code, status, text = "wechat_away", 502, _("WeChat does not answer; try again later.")


class WechatCodeInvalid(DomainError):
    code, status, text = "wechat_code_invalid", 400, _("WeChat does not accept this code; scan again.")


class WechatRefused(DomainError):
    code, status, text = "wechat_refused", 400, _("You did not allow the sign-in in WeChat.")


class WechatStateInvalid(DomainError):
    code, status, text = "wechat_state_invalid", 400, _("This QR code was used before or has expired.")


class WechatSessionInvalid(DomainError):
    code, status, text = "wechat_session_invalid", 400, _("This sign-in has expired; scan a new QR code.")


class WechatTaken(Conflict):
    code, text = "wechat_taken", _("This WeChat is linked to another account.")


class WechatAlreadyBound(Conflict):
    code, text = "wechat_already_bound", _("This account is linked to another WeChat.")


class WechatNotBound(DomainError):
    code, status, text = "wechat_not_bound", 400, _("No WeChat is linked.")


class LastSignInMethod(Conflict):
    code, text = (
        "last_sign_in_method",
        _("Set a password or bind a phone first: you could not sign in again."),
    )


class ImageInvalid(Invalid):
    code = "image_invalid"
    text = _(
        "Not a picture that can be used: JPEG, PNG, WebP or GIF, at most 12,000 pixels a side, 40 million in all."
    )


class EmailLinkInvalid(DomainError):
    code, status = "email_link_invalid", 400
    text = _("This link is not valid or has expired, or the address was changed meanwhile.")


class MailFailed(DomainError):
    code, status, text = "mail_failed", 502, _("The e-mail could not be sent; try again later.")
