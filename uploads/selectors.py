"""Reads of uploads."""

from typing import Any

from django.db.models import Sum

from uploads.models import TaskFile, UploadPart, UploadTask


def percentage(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 100.0


def progress_of(task: UploadTask) -> dict[str, Any]:
    """How far a task is: files landed, and bytes landed or received in parts."""
    received = UploadPart.objects.filter(task_file__task=task, task_file__status=TaskFile.Status.UPLOADING)
    in_parts = received.aggregate(total=Sum("size"))["total"] or 0
    size = task.uploaded_size + in_parts
    return {
        "task_id": task.pk,
        "taskId": task.pk,
        "status": task.status,
        "progress_percentage": percentage(task.uploaded_files, task.total_files),
        "size_progress_percentage": percentage(size, task.total_size),
        "uploaded_files": task.uploaded_files,
        "total_files": task.total_files,
        "uploaded_size": size,
        "total_size": task.total_size,
        "remaining_files": task.total_files - task.uploaded_files,
        "remaining_size": task.total_size - size,
        "updated_at": task.updated_at,
    }
