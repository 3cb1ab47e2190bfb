"""Settings of the tests: the real ones, with quick hashing and short waits."""

from datetime import timedelta

from config.settings import *  # noqa: F403
from config.settings import DATABASES, INSTALLED_APPS, REST_FRAMEWORK

INSTALLED_APPS = [*INSTALLED_APPS, "tests.quickflush"]
# Tests with real commits empty the tables afterwards; only they may truncate the ledger.
DATABASES["default"]["OPTIONS"]["options"] += " -c yuntu.allow_truncate=on"
PASSWORD_HASHERS = ["tests.hashers.QuickBcrypt", "tests.hashers.QuickLegacyBcrypt"]
# Races begin with many at once; the tests of the line make it short.
HASHING_WAITING = 1000
RENDER_LEASE = timedelta(seconds=30)
RENDER_HEARTBEAT_SECONDS = 0.5
RENDER_NODE_HEARTBEAT_SECONDS = 1
WS_RECHECK_SECONDS = 1
# Budgets count what a request costs the first time; tests/accounts/test_auth_cache.py switches it on.
AUTH_CACHE_SECONDS = 0
# Found when they are asked for: else every client of a test would list all static files, a fifth of the suite's time.
WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
REST_FRAMEWORK["TEST_REQUEST_RENDERER_CLASSES"] = [
    "rest_framework.renderers.JSONRenderer",
    "rest_framework.renderers.MultiPartRenderer",
]
