"""The log of changes in drives."""

from django.utils import timezone

from accounts.models import User
from common import origin
from common.compiled import planned_cursor
from drives.models import File, FileOperation, Folder
from drives.paths import join

Action = FileOperation.Action
COLUMNS = [field.attname for field in FileOperation._meta.concrete_fields]
INSERT = (
    f"INSERT INTO drives_fileoperation ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))})"  # noqa: S608
)
# For the transaction, which is this statement: it is not waited for then.
INSERT_UNAWAITED = f"{INSERT} RETURNING set_config('synchronous_commit', 'off', true)"


def path_of_entry(entry: File | Folder) -> str:
    """Where a file or folder is, or was before it went into the trash; a file brings its folder joined."""
    if isinstance(entry, Folder):
        return entry.place
    return join(entry.folder.place if entry.folder else "/", entry.name)


def operation(
    action: Action, entry: File | Folder, *, actor: User | None, path: str = "", new_path: str = ""
) -> FileOperation:
    """A row, not saved yet, of what `actor` does to `entry`; `path` is where it is now when left out."""
    return FileOperation(
        drive_id=entry.drive_id,
        actor=actor,
        action=action,
        target_id=entry.pk,
        is_folder=isinstance(entry, Folder),
        path=path or path_of_entry(entry),
        new_path=new_path,
        size=0 if isinstance(entry, Folder) else entry.size,
        device=origin.current.get().device[:200],
    )


def record(
    action: Action, entry: File | Folder, *, actor: User | None, path: str = "", new_path: str = ""
) -> None:
    """Write down what was done, in the caller's transaction."""
    insert(INSERT, operation(action, entry, actor=actor, path=path, new_path=new_path))


def record_download(file: File, *, actor: User | None) -> None:
    """Write down that a download begins, in a transaction of its own.

    Nobody waits until that is on the disk: after a power cut those of the last second may be missing.
    """
    insert(INSERT_UNAWAITED, operation(Action.DOWNLOAD, file, actor=actor))


def insert(statement: str, row: FileOperation) -> None:
    row.created_at = row.updated_at = timezone.now()
    with planned_cursor() as cursor:
        cursor.execute(statement, [getattr(row, column) for column in COLUMNS])
