from django.urls import path
from rest_framework.routers import SimpleRouter

from drives.api import entry_views, preview_views, share_views, views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("drives", views.DriveViewSet, basename="drive")
router.register("files", entry_views.EntryViewSet, basename="file")
router.register("files", preview_views.PreviewViewSet, basename="preview")
router.register("shares", share_views.ShareViewSet, basename="share")
urlpatterns = [
    *router.urls,
    path("shared/<str:token>", share_views.SharedView.as_view()),
    path("shared/<str:token>/unlock", share_views.UnlockView.as_view()),
    path("shared/<str:token>/files", share_views.SharedFilesView.as_view()),
    path("shared/<str:token>/files/<uuid:file_id>/preview", share_views.SharedPreviewView.as_view()),
    path("shared/<str:token>/download", share_views.SharedDownloadView.as_view()),
    path("shared/<str:token>/save", share_views.SaveSharedViewSet.as_view({"post": "create"})),
]
