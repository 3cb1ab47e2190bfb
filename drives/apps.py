from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DrivesConfig(AppConfig):
    name = "drives"
    verbose_name = _("Drives")

    def ready(self) -> None:
        from drives import checks, receivers  # noqa: F401  (registers the checks, connects the signals)
