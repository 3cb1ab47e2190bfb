from django.urls import path
from rest_framework.routers import SimpleRouter

from uploads.api.file_views import TaskFileViewSet
from uploads.api.tus import TusViewSet
from uploads.api.views import UploadTaskViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("upload-tasks", UploadTaskViewSet, basename="upload-task")

FILES = "upload-tasks/<uuid:task_id>/files"
FILE = f"{FILES}/<uuid:file_id>"
TUS_UPLOAD = {"head": "find_offset", "patch": "append", "delete": "terminate", "options": "capabilities"}
urlpatterns = [
    *router.urls,
    path(FILES, TaskFileViewSet.as_view({"get": "list"})),
    path(f"{FILES}/check", TaskFileViewSet.as_view({"post": "check"})),
    path(f"{FILE}/upload", TaskFileViewSet.as_view({"post": "upload"})),
    path(f"{FILE}/retry", TaskFileViewSet.as_view({"put": "retry"})),
    path(f"{FILE}/multipart/init", TaskFileViewSet.as_view({"post": "multipart_init"})),
    path(f"{FILE}/multipart/parts", TaskFileViewSet.as_view({"get": "multipart_parts"})),
    path(f"{FILE}/multipart/upload", TaskFileViewSet.as_view({"post": "multipart_upload"})),
    path(f"{FILE}/multipart/complete", TaskFileViewSet.as_view({"post": "multipart_complete"})),
    path(f"{FILE}/multipart/abort", TaskFileViewSet.as_view({"post": "multipart_abort"})),
    path("tus", TusViewSet.as_view({"post": "create", "options": "capabilities"})),
    path("tus/<uuid:pk>", TusViewSet.as_view(TUS_UPLOAD)),
]
