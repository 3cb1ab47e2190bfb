"""Access to the back office: the addresses from which it can be reached, and the second factor."""

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.http import urlencode

from accounts.models import User
from accounts.services import second_factor
from common.limits import client_ip

OPEN_PAGES = ("login", "logout", "jsi18n", "second-factor")
"""Pages that an operator needs before the second factor was entered."""


def is_inside(ip: str) -> bool:
    """Whether the back office is reached from `ip`."""
    if not settings.OFFICE_ADDRESSES:
        return True
    if not ip:
        return False
    address = ipaddress.ip_address(ip)
    return any(
        address in ipaddress.ip_network(network, strict=False) for network in settings.OFFICE_ADDRESSES
    )


class OfficeDoor:
    """Middleware that guards everything below /admin/, whoever serves it. Must come after AuthenticationMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    @cached_property
    def office(self) -> str:
        return reverse("admin:index")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(self.office):
            return self.get_response(request)
        if not is_inside(client_ip(request)):
            raise PermissionDenied
        page = request.path.removeprefix(self.office).strip("/").partition("/")[0]
        user = request.user
        if page in OPEN_PAGES or not isinstance(user, User) or not user.is_staff:
            return self.get_response(request)
        if not second_factor.is_passed(request.session, user):
            query = urlencode({"next": request.get_full_path()})
            return HttpResponseRedirect(f"{reverse('admin:second-factor')}?{query}")
        return self.get_response(request)
