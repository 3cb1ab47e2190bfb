"""The file manager as its users drive it."""

from typing import Any

from accounts.models import User
from drives.models import Drive, File, Folder
from tests.conftest import Client


def names(client: Client, path: str = "/", **query: Any) -> list[str]:
    """Names of what lies in a folder, as listed."""
    answer = client.get("/files", {"folder_path": path, **query})
    assert answer.status_code == 200, answer.content
    return [entry["name"] for entry in answer.json()["files"]]


def id_at(path: str, owner: User | None = None) -> str:
    """Id of the living file or folder at a path, of anybody's or of one person's drive."""
    folder_path, _slash, name = path.rpartition("/")
    folders = Folder.objects.filter(path=path)
    files = File.objects.living().filter(name=name)
    files = files.filter(folder__path=folder_path) if folder_path else files.filter(folder=None)
    if owner is not None:
        folders, files = folders.filter(drive__user=owner), files.filter(drive__user=owner)
    found: File | Folder | None = folders.first() or files.first()
    assert found is not None, path
    return str(found.pk)


def used(drive: Drive) -> int:
    """Bytes that the drive counts as used."""
    drive.refresh_from_db()
    return drive.used_size


def post(client: Client, path: str, code: int = 200, **body: Any) -> Any:
    """The body of the answer to a POST, whose status is as expected."""
    answer = client.post(path, body)
    assert answer.status_code == code, answer.content
    return answer.json()
