"""What files held before."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from drives.models import Drive, File, FileVersion
from drives.tasks import empty_trash
from tests.conftest import Client
from tests.drives.manager import id_at, post, used
from tests.factories import put

pytestmark = pytest.mark.django_db


def sizes(client: Client, file: str) -> list[int]:
    return [version["size"] for version in client.get(f"/files/{file}/versions").json()["versions"]]


def test_replaced_content_can_be_brought_back(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/x", b"first")
    put(owner, "/x", b"second one")
    file = id_at("/x")
    page = owner_api.get(f"/files/{file}/versions").json()
    [version] = page["versions"]
    assert (page["total"], version["size"], version["uploaded_by_id"]) == (1, 5, str(owner.pk))
    link = version["download_url"].removeprefix("http://testserver")
    assert b"".join(owner_api.get(link)) == b"first"
    back = post(owner_api, f"/files/{file}/versions/{version['id']}/restore")
    assert (back["id"], back["size"]) == (file, 5)
    assert sizes(owner_api, file) == [10]
    assert used(drive) == 5


def test_the_same_content_again_is_no_version(owner: User, owner_api: Client) -> None:
    put(owner, "/x", b"same")
    put(owner, "/x", b"same")
    assert sizes(owner_api, id_at("/x")) == []


def test_ten_versions_are_kept_and_each_for_thirty_days(owner: User, owner_api: Client) -> None:
    for number in range(13):
        put(owner, "/x", b"x" * number)
    file = id_at("/x")
    assert sizes(owner_api, file) == list(range(11, 1, -1))
    old = FileVersion.objects.filter(size__lt=5)
    old.update(created_at=timezone.now() - timedelta(days=30, minutes=1))
    empty_trash()
    assert sizes(owner_api, file) == list(range(11, 4, -1))


def test_an_earlier_content_needs_room_as_well(owner: User, owner_api: Client, drive: Drive) -> None:
    put(owner, "/x", b"x" * 10)
    put(owner, "/x", b"x")
    Drive.objects.filter(pk=drive.pk).update(total_size=9)
    version = FileVersion.objects.get()
    file = id_at("/x")
    answer = post(owner_api, f"/files/{file}/versions/{version.pk}/restore", 413)
    assert answer["code"] == "quota_exceeded"
    assert File.objects.get().size == used(drive) == 1


def test_versions_of_others_are_out_of_sight(
    owner: User, owner_api: Client, stranger: User, stranger_api: Client, settings: Any
) -> None:
    for user in (owner, stranger):
        put(user, "/x", b"first")
        put(user, "/x", b"second one")
    file = id_at("/x", owner)
    version = FileVersion.objects.get(file__id=file)
    assert stranger_api.get(f"/files/{file}/versions").status_code == 404
    post(stranger_api, f"/files/{file}/versions/{version.pk}/restore", 404)
    # A version of another file is not one of this.
    foreign = FileVersion.objects.exclude(file__id=file).get()
    post(owner_api, f"/files/{file}/versions/{foreign.pk}/restore", 404)
    assert set(File.objects.values_list("size", flat=True)) == {10}
