from rest_framework.routers import SimpleRouter

from drives.api import entry_views, views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("drives", views.DriveViewSet, basename="drive")
router.register("files", entry_views.EntryViewSet, basename="file")
urlpatterns = router.urls
