"""Signing in to the back office: by the same service, limits and lock as everywhere else."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm

from accounts.errors import WrongCredentials
from accounts.models import AuditEvent
from accounts.services import audit
from accounts.services.passwords import verify_credentials
from common.errors import DomainError
from common.limits import client_ip


class OfficeLoginForm(AuthenticationForm):
    """Username, phone or verified e-mail of an operator."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("Username, phone or e-mail")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = self.cleaned_data
        if "username" not in given or "password" not in given:
            return given
        try:
            user = verify_credentials(
                identifier=given["username"], password=given["password"], ip=client_ip(self.request)
            )
        except WrongCredentials:
            raise self.get_invalid_login_error() from None
        except DomainError as error:
            raise ValidationError(str(error), code=error.code) from error
        self.confirm_login_allowed(user)
        audit.record(AuditEvent.Action.LOGIN, user=user, actor=user, after={"door": "admin"})
        self.user_cache = user
        return given
