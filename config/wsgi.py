"""WSGI entry: plain HTTP in production (gunicorn, threads)."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

from config.fitness import refuse_unfit  # noqa: E402  (needs the app registry)

refuse_unfit()
# What is loaded by now stays for good: the garbage collector need not look at it again and again.
gc.freeze()
