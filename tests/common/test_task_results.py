"""What is kept of background work."""

import pytest
from celery import current_app
from django.db import DatabaseError, connection, transaction
from django_celery_results.models import TaskResult

pytestmark = pytest.mark.django_db


def test_a_failure_is_kept() -> None:
    current_app.backend.store_result("t1", ValueError("no"), "FAILURE")
    assert TaskResult.objects.get(task_id="t1").status == "FAILURE"


def test_a_failure_that_cannot_be_kept_does_not_stop_the_worker() -> None:
    """A worker whose error comes from here never ends the task."""
    with transaction.atomic():
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        current_app.backend.store_result("t1", ValueError("no"), "FAILURE")
        transaction.set_rollback(True)
    assert not TaskResult.objects.exists()
