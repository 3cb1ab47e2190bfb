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
    row = operation(action, entry, actor=actor, path=path, new_path=new_path)
    row.created_at = row.updated_at = timezone.now()
    with planned_cursor() as cursor:
        cursor.execute(INSERT, [getattr(row, column) for column in COLUMNS])
