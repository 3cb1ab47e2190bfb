"""Scheduled work of drives."""

import logging
from collections import Counter

from celery import shared_task
from django.utils import timezone

from drives.services import usage
from drives.services.garbage import collect_garbage

logger = logging.getLogger(__name__)


@shared_task
def sweep() -> None:
    """Remove content that nothing points to, and uploads that nobody will finish."""
    counts, sizes = Counter[str](), Counter[str]()
    for found in collect_garbage(now=timezone.now()):
        counts[found.kind] += 1
        sizes[found.kind] += found.size
    for kind, count in sorted(counts.items()):
        logger.info("Garbage: %s %s, %s bytes", count, kind, sizes[kind])


@shared_task
def sample_usage() -> None:
    """Write down how full every drive is today."""
    usage.sample_usage(now=timezone.now())
