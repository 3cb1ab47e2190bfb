from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RenderingConfig(AppConfig):
    name = "rendering"
    verbose_name = _("Rendering")

    def ready(self) -> None:
        from billing.models import ReconciliationRun
        from billing.services import nightly
        from common.client_config import register
        from rendering import checks, receivers  # noqa: F401  (register themselves)
        from rendering.selectors import client_config
        from rendering.services.books import check_jobs

        register(client_config)
        nightly.register(ReconciliationRun.Kind.JOBS, check_jobs)
