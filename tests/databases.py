"""One migrated database for all workers of a run: each tests in a copy of it."""

import fcntl
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from tests.services import WORKER


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def has_database(name: str) -> bool:
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        return cursor.fetchone() is not None


def make_migrated(name: str) -> None:
    usual, test = connection.settings_dict["NAME"], connection.settings_dict["TEST"]
    own, test["NAME"] = test["NAME"], name
    gc.disable()  # as `run_platform` does
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    finally:
        gc.enable()
        connection.close()  # nobody may look at what is copied
        test["NAME"] = own
        settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = usual


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """The first worker migrates. Making a copy takes a fraction of a second, migrating as long as hundreds of tests."""
    if not WORKER:
        yield
        return
    shared = settings.YUNTU_VAR.parent
    name = f"{shared.name}_migrated"
    with django_db_blocker.unblock(), one_at_a_time(shared):
        if not has_database(name):
            make_migrated(name)
    connection.settings_dict["TEST"]["TEMPLATE"] = name
    yield
    with django_db_blocker.unblock(), one_at_a_time(shared), connection._nodb_cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {connection.ops.quote_name(name)}")
