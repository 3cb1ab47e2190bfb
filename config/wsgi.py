"""WSGI entry: plain HTTP in production (gunicorn, threads)."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from config.fitness import refuse_unfit  # noqa: E402  (needs the app registry)

refuse_unfit()
# What is loaded stays: the collector need not look at all of it again and again.
gc.freeze()
