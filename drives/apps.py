from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DrivesConfig(AppConfig):
    name = "drives"
    verbose_name = _("Drives")

    def ready(self) -> None:
        from drives import receivers  # noqa: F401  (connects the signals)
