import pytest
from django.utils import timezone

from accounts.models import User
from drives.models import BlobPreview, Drive, DriveMember, File
from drives.services.drives import default_drive
from drives.storage import blob_storage
from tests.drives.links import PNG
from tests.drives.manager import id_at
from tests.drives.storages import bucket, choose, oss, s3, storage  # noqa: F401  (fixtures)
from tests.factories import make_user, put


@pytest.fixture(autouse=True)
def _empty_staging() -> None:
    for path in blob_storage().staging_path("").iterdir():
        path.unlink()


@pytest.fixture
def drive(owner: User) -> Drive:
    return default_drive(user=owner)


@pytest.fixture
def foreign_drive(stranger: User) -> Drive:
    return default_drive(user=stranger)


@pytest.fixture
def people(owner: User, drive: Drive) -> dict[str, User]:
    """Everybody by what they are to the drive."""
    found = {"owner": owner, "stranger": make_user(username="passer_by")}
    for role in DriveMember.Role:
        found[role] = make_user(username=f"a_{role}")
        DriveMember.objects.create(drive=drive, user=found[role], role=role)
    return found


@pytest.fixture
def album(owner: User, drive: Drive) -> str:
    """Id of /相册, which is shared, beside what is not."""
    put(owner, "/相册/猫.png", PNG)
    put(owner, "/相册/深/x.txt", b"deep")
    put(owner, "/相册2/secret.txt", b"secret")
    put(owner, "/private.txt", b"private")
    return id_at("/相册")


@pytest.fixture
def picture(album: str) -> str:
    """Id of a picture of the album whose previews are made: each is the picture itself."""
    file = File.objects.get(name="猫.png")
    due_at = timezone.now()
    for size in (160, 480):
        BlobPreview.objects.create(blob=file.blob, size=size, state="ready", due_at=due_at)
    return str(file.pk)
