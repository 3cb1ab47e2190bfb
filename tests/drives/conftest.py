import pytest

from accounts.models import User
from drives.models import Drive, DriveMember
from drives.services.drives import default_drive
from tests.drives.storages import bucket, choose, oss, s3, storage  # noqa: F401  (fixtures)
from tests.factories import make_user


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
