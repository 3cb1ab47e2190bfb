"""Reads of uploads."""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet, Sum

from accounts.models import User
from drives.models import File
from drives.paths import MAX_NAME_BYTES, MAX_PATH_LENGTH
from uploads.models import TaskFile, UploadPart, UploadTask

MAX_PARTS = 10_000
MAX_PART_SIZE = 64 * 2**20
Link = Callable[[File], str]
"""The URL of a file, valid for a while."""


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
        "paused_at": task.paused_at,
        "updated_at": task.updated_at,
    }


def sizes_of(files: QuerySet[TaskFile]) -> dict[str, int]:
    """Bytes of the landed ones among `files`.

    `sent_size` came over the wire, `not_sent_size` was linked at once instead; `not_stored_size` was there already,
    whether it was sent or not.
    """
    landed = Q(status__in=TaskFile.LANDED_STATUSES)
    return files.aggregate(
        sent_size=Sum("file_size", filter=Q(status=TaskFile.Status.COMPLETED), default=0),
        not_sent_size=Sum("file_size", filter=Q(status=TaskFile.Status.SKIPPED), default=0),
        not_stored_size=Sum("file_size", filter=landed & Q(was_stored=True), default=0),
    )


def statistics_of(user: User) -> dict[str, Any]:
    """Counts and bytes of all upload tasks of a user."""
    tasks = UploadTask.objects.visible_to(user)
    files = TaskFile.objects.filter(task__in=tasks)
    by_status = dict(tasks.values_list("status").annotate(count=Count("pk")).order_by())
    files_by_status = dict(files.values_list("status").annotate(count=Count("pk")).order_by())
    paused = Q(paused_at__isnull=False, status__in=UploadTask.OPEN_STATUSES)
    sums = tasks.aggregate(
        total_files=Sum("total_files", default=0),
        uploaded_files=Sum("uploaded_files", default=0),
        total_size=Sum("total_size", default=0),
        uploaded_size=Sum("uploaded_size", default=0),
        paused_tasks=Count("pk", filter=paused),
    )
    return {
        "total_tasks": sum(by_status.values()),
        "tasks_by_status": {status: by_status.get(status, 0) for status in UploadTask.Status.values},
        "files_by_status": {status: files_by_status.get(status, 0) for status in TaskFile.Status.values},
        **sums,
        **sizes_of(files),
    }


def manifest_rows(task: UploadTask) -> list[TaskFile]:
    """Files of a task in their order, with where they lie now; one statement, however many they are."""
    return list(task.files.select_related("file__folder", "file__blob").order_by("position"))


def is_there(row: TaskFile) -> bool:
    """Whether the file of a landed row still exists in the drive. The caller joins file and folder."""
    file = row.file
    return file is not None and file.trashed_at is None and file.folder_path.startswith("/")


def path_of(row: TaskFile) -> str:
    """Where the file is now; before it has landed, where it is going to be."""
    file = row.file
    if file is None or not is_there(row):
        return row.virtual_path
    return f"{file.folder_path.rstrip('/')}/{file.name}"


def downloadable(task: UploadTask) -> list[tuple[TaskFile, File]]:
    """The files of a task that can be downloaded, in the order of its manifest."""
    return [(row, row.file) for row in manifest_rows(task) if row.file is not None and is_there(row)]


def upload_manifest(task: UploadTask, rows: Iterable[TaskFile]) -> dict[str, Any]:
    """What the client announced, with paths and digests in their normal form."""
    return {
        "task_name": task.task_name,
        "drive_id": task.drive_id,
        "priority": task.priority,
        "total_files": task.total_files,
        "total_size": task.total_size,
        "client_info": task.client_info,
        "files": [
            {
                "index": row.position,
                "local_path": row.local_path,
                "target_folder_path": row.target_folder_path,
                "file_name": row.file_name,
                "file_size": row.file_size,
                "md5": row.md5,
                "mime_type": row.mime_type,
            }
            for row in rows
        ],
    }


def storage_manifest(task: UploadTask, rows: list[TaskFile], link: Link) -> dict[str, Any]:
    """What has become of the announced files, as things stand now, and three mappings between their names.

    The caller joins the drive. A file that is no longer there keeps its line, without id and link.
    """
    counts = dict.fromkeys(TaskFile.Status.values, 0)
    for row in rows:
        counts[row.status] += 1
    paths, keys = [path_of(row) for row in rows], local_keys(rows)
    files = [stored_file(row, path, link) for row, path in zip(rows, paths, strict=True)]
    landed = [
        (file, path, key) for file, path, key in zip(files, paths, keys, strict=True) if file["file_id"]
    ]
    return {
        "task_id": task.pk,
        "task_name": task.task_name,
        "user_id": task.user_id,
        "drive_id": task.drive_id,
        "drive_name": task.drive.name,
        "status": task.status,
        "summary": {
            "total_files": task.total_files,
            "uploaded_files": counts[TaskFile.Status.COMPLETED],
            "failed_files": counts[TaskFile.Status.FAILED],
            "skipped_files": counts[TaskFile.Status.SKIPPED],
            "total_size": task.total_size,
            "storage_saved": sum(row.file_size for row in rows if row.was_stored),
        },
        "completed_at": task.completed_at,
        "files": files,
        "mappings": {
            "local_to_oss": {key: path for _file, path, key in landed},
            "local_to_virtual": dict(zip(keys, paths, strict=True)),
            "oss_to_file_id": {path: file["file_id"] for file, path, _key in landed},
        },
    }


def stored_file(row: TaskFile, path: str, link: Link) -> dict[str, Any]:
    """A line of the storage manifest; `oss_key` is the path in the drive, `upload_duration` in seconds."""
    file = row.file if is_there(row) else None
    took = row.completed_at - row.started_at if row.completed_at and row.started_at else None
    return {
        "file_id": file.pk if file else None,
        "task_file_id": row.pk,
        "file_name": row.file_name,
        "local_path": row.local_path,
        "virtual_path": path,
        "folder_id": file.folder_id if file else row.folder_id,
        "oss_key": path if file else "",
        "oss_url": link(file) if file else "",
        "file_size": row.file_size,
        "md5": (file.blob.md5 if file else "") or row.md5,
        "upload_status": row.status,
        "is_duplicated": row.is_duplicated,
        "upload_duration": round(took.total_seconds(), 3) if took else None,
    }


def local_keys(rows: list[TaskFile]) -> list[str]:
    """A key for each row: its path on the client's machine; where that is empty or used before, the same with a
    number.
    """
    taken = {"", *(row.local_path for row in rows)}
    used: set[str] = {""}
    keys = []
    for row in rows:
        key, number = row.local_path, row.position
        while key in used or (key in taken and key != row.local_path):
            key, number = f"{row.local_path}#{number}", number + len(rows)
        used.add(key)
        keys.append(key)
    return keys


def client_config() -> dict[str, Any]:
    """What a client must know before it uploads; sizes in bytes."""
    part_size = settings.UPLOAD_PART_SIZE
    return {
        "upload": {
            "part_size": part_size,
            "max_part_size": MAX_PART_SIZE,
            "max_parts": MAX_PARTS,
            "max_file_size": MAX_PARTS * MAX_PART_SIZE,
            "direct_max_size": settings.UPLOAD_DIRECT_MAX_SIZE,
            "max_body_size": settings.MAX_BODY,
            "max_files": settings.UPLOAD_MAX_FILES,
            "batch_max_files": settings.DATA_UPLOAD_MAX_NUMBER_FILES,
            "lifetime_seconds": int(settings.UPLOAD_LIFETIME.total_seconds()),
            "max_retries": TaskFile.MAX_RETRIES,
            "accepted_types": settings.UPLOAD_ACCEPTED_TYPES,
            "refused_types": settings.UPLOAD_REFUSED_TYPES,
            "max_name_bytes": MAX_NAME_BYTES,
            "max_path_length": MAX_PATH_LENGTH,
        }
    }
