from typing import Any

from django.urls import path
from rest_framework.routers import SimpleRouter

from uploads.api.config_views import ClientConfigView, StorageConfigView
from uploads.api.direct_views import DirectUploadViewSet
from uploads.api.file_views import TaskFileViewSet
from uploads.api.log_views import LogViewSet
from uploads.api.part_views import PartViewSet
from uploads.api.sts_views import CallbackView, SentFileViewSet
from uploads.api.tus import TusViewSet
from uploads.api.views import UploadTaskViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("upload-tasks", UploadTaskViewSet, basename="upload-task")

FILES = "upload-tasks/<uuid:task_id>/files"
FILE = f"{FILES}/<uuid:file_id>"
TUS_UPLOAD: dict[str, Any] = {
    "head": "find_offset",
    "patch": "append",
    "delete": "terminate",
    "options": "capabilities",
}
FREQUENT = [
    path(f"{FILE}/upload", TaskFileViewSet.as_view({"post": "upload"})),
    path(f"{FILE}/multipart/parts/<int:number>", PartViewSet.as_view({"put": "put_part"})),
]
"""What is asked for each small file, and for each part of a large one (config.wsgi)."""
urlpatterns = [
    *FREQUENT,  # first, since Django tries one after the other
    *router.urls,
    path(FILES, TaskFileViewSet.as_view({"get": "list"})),
    path(f"{FILES}/check", TaskFileViewSet.as_view({"post": "check"})),
    path(f"{FILES}/batch", TaskFileViewSet.as_view({"post": "batch"})),
    path(f"{FILE}/retry", TaskFileViewSet.as_view({"put": "retry"})),
    path(f"{FILE}/multipart/init", TaskFileViewSet.as_view({"post": "multipart_init"})),
    path(f"{FILE}/multipart/parts", TaskFileViewSet.as_view({"get": "multipart_parts"})),
    path(f"{FILE}/multipart/upload", TaskFileViewSet.as_view({"post": "multipart_upload"})),
    path(f"{FILE}/multipart/complete", TaskFileViewSet.as_view({"post": "multipart_complete"})),
    path(f"{FILE}/multipart/abort", TaskFileViewSet.as_view({"post": "multipart_abort"})),
    path(f"{FILE}/direct/init", DirectUploadViewSet.as_view({"post": "init"})),
    path(f"{FILE}/direct/urls", DirectUploadViewSet.as_view({"post": "urls"})),
    path(f"{FILE}/direct/parts", DirectUploadViewSet.as_view({"get": "parts"})),
    path(f"{FILE}/direct/complete", DirectUploadViewSet.as_view({"post": "complete"})),
    path(f"{FILE}/direct/abort", DirectUploadViewSet.as_view({"post": "abort"})),
    path("upload-tasks/<uuid:task_id>/credentials", SentFileViewSet.as_view({"post": "keys"})),
    path(f"{FILE}/complete", SentFileViewSet.as_view({"post": "complete"})),
    path("oss-callback/upload-complete", CallbackView.as_view()),
    path("tus", TusViewSet.as_view({"post": "create", "options": "capabilities"})),
    path("tus/<uuid:pk>", TusViewSet.as_view(TUS_UPLOAD)),
    path("config/client", ClientConfigView.as_view()),
    path("config/oss", StorageConfigView.as_view()),
    path("logs/upload", LogViewSet.as_view({"post": "upload"})),
    path("logs/list", LogViewSet.as_view({"get": "list"})),
    path("logs/download/<str:date>/<str:file_name>", LogViewSet.as_view({"get": "download"})),
]
