from django.urls import path
from rest_framework.routers import SimpleRouter

from rendering.api.dependency_views import TaskDependenciesViewSet
from rendering.api.frame_views import TaskFramesViewSet
from rendering.api.report_views import TaskReportViewSet
from rendering.api.result_views import TaskResultViewSet
from rendering.api.views import EnginesView, TaskViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("tasks", TaskViewSet, basename="task")
router.register("tasks", TaskFramesViewSet, basename="task-frames")
router.register("tasks", TaskDependenciesViewSet, basename="task-dependencies")
router.register("tasks", TaskReportViewSet, basename="task-report")
router.register("tasks", TaskResultViewSet, basename="task-result")
urlpatterns = [*router.urls, path("engines", EnginesView.as_view())]
