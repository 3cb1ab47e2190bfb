import pytest

from accounts.models import User
from drives.models import Drive
from drives.services.drives import default_drive
from tests.drives.storages import bucket, choose, oss, s3, storage  # noqa: F401  (fixtures)


@pytest.fixture
def drive(owner: User) -> Drive:
    return default_drive(user=owner)


@pytest.fixture
def foreign_drive(stranger: User) -> Drive:
    return default_drive(user=stranger)
