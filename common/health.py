"""State of the parts that the platform depends on."""

import time
from collections.abc import Callable
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.db import connection as database

from common import realtime


def ask_database() -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT 1")


def ask_redis() -> None:
    realtime.connection().ping()


def ask_storage() -> None:
    blobs = storages["blobs"]
    if isinstance(blobs, FileSystemStorage):
        # A folder says nothing of itself: it may be missing, full or read-only.
        blobs.delete(blobs.save("health", ContentFile(b"up")))
    else:
        blobs.exists("health")


def ask_workers() -> None:
    if not current_app.control.ping(timeout=0.5, limit=1):
        raise RuntimeError("no worker answers")


COMPONENTS: dict[str, Callable[[], None]] = {
    "database": ask_database,
    "redis": ask_redis,
    "storage": ask_storage,
}
ON_REQUEST: dict[str, Callable[[], None]] = {"workers": ask_workers}


def measure(probe: Callable[[], None]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        probe()
    except Exception as error:  # any failure of a part is the answer, not a crash of the question
        return {"status": "down", "error": type(error).__name__}
    return {"status": "up", "latency_ms": round((time.perf_counter() - started) * 1000, 2)}


def report(full: bool = False) -> dict[str, Any]:
    """Status and latency (ms) of each component; `full` also asks the workers, which takes up to half a second."""
    probes = {**COMPONENTS, **(ON_REQUEST if full else {})}
    components = {name: measure(probe) for name, probe in probes.items()}
    healthy = all(part["status"] == "up" for part in components.values())
    return {
        "status": "healthy" if healthy else "unhealthy",
        "service": "Yuntu",
        "version": settings.VERSION,
        "components": components,
    }
