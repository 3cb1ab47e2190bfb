from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RenderingConfig(AppConfig):
    name = "rendering"
    verbose_name = _("Rendering")

    def ready(self) -> None:
        from common.client_config import register
        from rendering import checks, receivers  # noqa: F401  (register themselves)
        from rendering.selectors import client_config

        register(client_config)
