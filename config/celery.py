"""The Celery application. PostgreSQL decides what is done; Celery only carries the news that there is work."""

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("yuntu")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_init.connect
@signals.beat_init.connect
def refuse_unfit(**kwargs: Any) -> None:
    from config import fitness  # settings are not read before a process asks for them

    fitness.refuse_unfit()
