"""What Django's password validators lack."""

from django.contrib.auth.password_validation import MinimumLengthValidator
from django.utils.translation import gettext as _


class MinimumLength(MinimumLengthValidator):
    """Django's rule with a text of our own: the Chinese catalogue of Django lacks the text that 5.2 uses."""

    def get_error_message(self) -> str:
        return _("The password must have %(count)s characters or more.") % {"count": self.min_length}
