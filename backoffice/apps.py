from django.apps import AppConfig, apps
from django.contrib.admin import apps as admin_apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class OfficeAdminConfig(admin_apps.AdminConfig):
    """Django's admin with our site in it."""

    default = False
    default_site = "backoffice.site.OfficeSite"


class BackofficeConfig(AppConfig):
    default = True
    name = "backoffice"
    verbose_name = _("Back office")

    def ready(self) -> None:
        from backoffice.staff import sync_staff_groups

        # The signal comes once for each app that has models; at the last the permissions of all of them are there.
        last = [config for config in apps.get_app_configs() if config.models_module][-1]
        post_migrate.connect(sync_staff_groups, sender=last)
