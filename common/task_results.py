"""What came of background work, kept for operators."""

import logging
from typing import Any

from django.db import Error
from django_celery_results.backends import DatabaseBackend

logger = logging.getLogger(__name__)


class TaskResults(DatabaseBackend):
    """Results in the database. While that is away, a failure is only logged.

    Raised here, the error would come between a task and its end: the worker would count the task as running for ever,
    and take no more tasks once it has as many of these as threads.
    """

    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().store_result(task_id, result, state, *args, **kwargs)
        except Error:
            logger.warning("the result of task %s is not kept: %s, %r", task_id, state, result, exc_info=True)
            return result
