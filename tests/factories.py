"""Rows for tests, made by the services that make them in life."""

import itertools
from decimal import Decimal

from accounts.models import User
from accounts.services.registration import create_user
from accounts.services.sessions import open_session
from billing.services.credits import credit
from common.ids import new_id
from drives.models import Drive, File
from drives.paths import clean_path, split
from drives.services.blobs import store_chunks
from drives.services.drives import default_drive
from drives.services.places import ensure_folders
from drives.services.tree import NewFile, put_files

PASSWORD = "Blue-lantern-42"
numbers = itertools.count(1)


def make_user(*, username: str = "", money: str = "0", **fields: object) -> User:
    """A registered user with wallet and drive; `money` is credited in CNY beyond the trial credit."""
    number = next(numbers)
    user = create_user(username=username or f"artist_{number}", password=PASSWORD, phone=f"138{number:08d}")
    if fields:
        User.objects.filter(pk=user.pk).update(**fields)
        user.refresh_from_db()
    if Decimal(money):
        credit(user=user, amount=Decimal(money), key=f"test:{new_id()}", reason="test")
    return user


def token_of(user: User) -> str:
    _session, pack = open_session(user=user, device="pytest", ip="127.0.0.1")
    return pack.access_token


def put(user: User, path: str, content: bytes, *, drive: Drive | None = None) -> File:
    """A file at `path` in the user's drive."""
    drive = drive or default_drive(user=user)
    folder_path, name = split(clean_path(path))
    folder = ensure_folders(drive=drive, paths={folder_path})[folder_path]
    blob = store_chunks([content])
    return put_files(drive=drive, actor=user, new_files=[NewFile(folder, name, blob)])[0]
