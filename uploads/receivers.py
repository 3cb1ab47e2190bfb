"""What uploads answers to questions from below."""

from typing import Any

from django.dispatch import receiver

from drives.signals import uploads_in_use
from uploads.models import TaskFile


@receiver(uploads_in_use)
def needed_by_open_files(sender: Any, ids: set[str], **kwargs: Any) -> set[str]:
    """Staged bytes of files under way: a paused upload may rest for weeks. A file that ends lets go of its id."""
    return set(TaskFile.objects.filter(upload_id__in=ids).values_list("upload_id", flat=True))
