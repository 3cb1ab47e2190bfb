"""The admin site: its pages that belong to no model."""

from collections.abc import Callable
from typing import Any, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite

View = Callable[..., HttpResponseBase]


class OfficeSite(UnfoldAdminSite):
    index_title = _("Overview")

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Made only when it is used: every page could show it, few do, and it takes long."""
        apps = super().get_app_list
        return cast(list[dict[str, Any]], SimpleLazyObject(lambda: apps(request, app_label)))

    def extra_urls(self) -> list[URLPattern]:
        # They need the models, which are not there yet when the site is made.
        from backoffice import pages
        from backoffice.second_factor import second_factor_page

        return [
            self.page("queue", pages.queue, "rendering.view_renderjob"),
            path("second-factor/", second_factor_page, name="second-factor"),
        ]

    def page(self, name: str, view: View, right: str) -> URLPattern:
        """The URL of one of our pages, for operators who have `right`."""

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perm(right):
                raise PermissionDenied
            request.current_app = self.name  # read by {% url %}
            return view(request, *args, **kwargs)

        return path(f"{name}/", self.admin_view(guarded), name=name)
