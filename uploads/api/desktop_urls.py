"""What older clients call below /files. Included last, so that all other routes below /files take precedence."""

from django.urls import path

from uploads.api import desktop_views as desktop
from uploads.api.sts_views import OldKeysView

urlpatterns = [
    path("files/get-upload-credentials", OldKeysView.as_view()),
    path("files/upload/chunk", desktop.ChunkView.as_view()),
    path("files/upload/merge", desktop.MergeView.as_view()),
    path("files/upload", desktop.SceneUploadView.as_view()),
    path("files/upload-url", desktop.UploadUrlView.as_view()),
    path("files/download/<str:task_id>/<str:filename>", desktop.SceneDownloadView.as_view()),
    path("files/info/<path:key>", desktop.ObjectInfoView.as_view()),
    path("files/<path:key>", desktop.ObjectView.as_view()),
]
