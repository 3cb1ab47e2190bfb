"""What a guest may do. Guests are signed in by a device alone, until they bind a phone."""

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.errors import PhoneRequired


class PhoneBound(BasePermission):
    """Guests may look; what changes something is refused unless the view names it in `open_to_guests`.

    `open_to_guests` holds actions of a viewset or methods of a plain view, in lower case. Raises PhoneRequired.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in SAFE_METHODS or not getattr(request.user, "is_guest", False):
            return True
        name = getattr(view, "action", None) or str(request.method).lower()
        if name in getattr(view, "open_to_guests", ()):
            return True
        raise PhoneRequired
