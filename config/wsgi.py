"""WSGI entry: plain HTTP in production (gunicorn, threads)."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
long_way = get_wsgi_application()

from common.short_way import ShortWay  # noqa: E402  (these need the app registry)
from config.fitness import refuse_unfit  # noqa: E402
from uploads.api.urls import FREQUENT  # noqa: E402

application = ShortWay(long_way, "/api/v1/", FREQUENT)
refuse_unfit()
# What is loaded by now stays for good: the garbage collector need not look at it again and again.
gc.freeze()
