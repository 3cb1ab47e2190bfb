"""All routes. API routes carry no trailing slash; common.middleware answers both forms."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularRedocView, SpectacularSwaggerView

from accounts import pages
from billing.pages import billing
from common import api as common_api
from drives.api.archive_views import ZipLinkView
from drives.api.downloads import BlobLinkView
from drives.dav.views import serve_dav
from drives.pages import drive, shared
from rendering.pages import task, tasks
from uploads.api.archive_views import ArchiveLinkView

api: list[URLPattern | URLResolver] = [
    path("ping", common_api.ping),
    # First, since nothing is requested as often: Django tries the routes one after the other.
    path("", include("uploads.api.urls")),
    path("", include("accounts.api.urls")),
    path("", include("billing.api.urls")),
    path("", include("drives.api.urls")),
    path("", include("uploads.api.desktop_urls")),
    path("", include("rendering.api.urls")),
]

urlpatterns = [
    path("api/v1/", include(api)),  # first, for the same reason
    path("", common_api.root),
    path("health", common_api.health_view),
    re_path("^login/?$", pages.login, name="login"),
    re_path("^account/?$", pages.account, name="account"),
    re_path("^teams/?$", pages.teams, name="teams"),
    re_path("^billing/?$", billing, name="billing"),
    re_path("^invitation/?$", pages.invitation, name="invitation"),
    re_path("^drive/?$", drive, name="drive"),
    re_path("^tasks/?$", tasks, name="tasks"),
    path("tasks/<uuid:task_id>", task),
    re_path("^s/(?P<token>[\\w-]+)/?$", shared, name="shared"),
    re_path("^verify-email/?$", pages.verify_email, name="verify-email"),
    re_path("^media/avatars/(?P<name>[0-9a-f]{32}[.]webp)$", pages.avatar),
    path("admin/", admin.site.urls),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("docs", SpectacularSwaggerView.as_view(url_name="schema")),
    path("redoc", SpectacularRedocView.as_view(url_name="schema")),
    re_path("^dav(?P<path>/.*)?$", serve_dav),
    path("blobs/<str:token>/<str:name>", BlobLinkView.as_view(), name="blob-link"),
    path("zips/<str:token>/<str:name>", ZipLinkView.as_view(), name="zip-link"),
    path("archives/<str:token>/<str:name>", ArchiveLinkView.as_view(), name="archive-link"),
]

if settings.EMBEDDED_PROFILE:
    urlpatterns.append(path("standin/wechat/", include("accounts.wechat.standin")))
    urlpatterns.append(path("standin/pay/", include("billing.channels.standin.pages")))
