from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class UploadsConfig(AppConfig):
    name = "uploads"
    verbose_name = _("Uploads")

    def ready(self) -> None:
        from common.client_config import register
        from uploads import checks, receivers, selectors  # noqa: F401  (registers the checks, connects the signals)

        register(selectors.client_config)
