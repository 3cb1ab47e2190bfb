"""The Celery application. PostgreSQL decides what is done; Celery only carries the news that there is work."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("yuntu")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
