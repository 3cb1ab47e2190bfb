"""What keeps strangers out of a share link: passwords, and the end of what it gave out."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import User
from drives.models import Drive, FileOperation, ShareLink
from drives.services import shares
from drives.services.drives import create_drive
from drives.storage import blob_storage
from tests.conftest import Client
from tests.drives.links import fetch, open_share, refused, share, token_in
from tests.drives.manager import id_at, post

pytestmark = pytest.mark.django_db


# --- Passwords -----------------------------------------------------------------------------------------------


def test_a_password_opens_every_door(owner: User, owner_api: Client, anonymous: Client, album: str) -> None:
    door = open_share(owner_api, album, password=" 芝麻 ")
    other = open_share(owner_api, album, password="other")
    locked = {"needs_password": True, "entry": None, "expires_at": None, "downloads_left": None}
    assert anonymous.get(door).json() == locked
    refused(anonymous.post(f"{door}/unlock", {"password": "芝麻"}), 403, "share_password_wrong")
    key = post(anonymous, f"{door}/unlock", password=" 芝麻 ")["key"]
    for wrong in ("", "x", key + "x", post(anonymous, f"{other}/unlock", password="other")["key"]):
        anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {wrong}")
        assert anonymous.get(door).json() == locked
        refused(anonymous.get(f"{door}/files"), 403, "share_password_required")
        refused(anonymous.post(f"{door}/download"), 403, "share_password_required")
    assert not FileOperation.objects.filter(action="download").exists()
    anonymous.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    assert anonymous.get(door).json()["entry"]["name"] == "相册"
    assert anonymous.get(f"{door}/files").json()["total"] == 2
    post(anonymous, f"{door}/download")


def test_a_key_is_good_for_a_while(
    owner_api: Client, anonymous: Client, album: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = open_share(owner_api, album, password="x")
    anonymous.credentials(
        HTTP_AUTHORIZATION=f"Bearer {post(anonymous, f'{door}/unlock', password='x')['key']}"
    )
    assert anonymous.get(f"{door}/files").status_code == 200
    monkeypatch.setattr(shares, "KEY_SECONDS", -1)
    refused(anonymous.get(f"{door}/files"), 403, "share_password_required")


def test_who_guesses_is_slowed_and_nobody_else(
    owner: User, owner_api: Client, album: str, settings: Any
) -> None:
    settings.SHARE_PASSWORD_LIMITS = {"link": (2, 600), "address": (3, 3600)}
    door = open_share(owner_api, album, password="right")
    second = open_share(owner_api, album, password="right")

    def give(door: str, password: str, ip: str = "203.0.113.9") -> Any:
        return Client().post(f"{door}/unlock", {"password": password}, REMOTE_ADDR=ip)

    for _time in range(3):  # a right one is no guess
        assert give(door, "right").status_code == 200
    assert [give(door, "wrong").status_code for _time in range(2)] == [403, 403]
    slowed = give(door, "right")
    assert (slowed.status_code, slowed.json()["code"], "Retry-After" in slowed) == (429, "rate_limited", True)
    # Another link of the same address, until it has guessed too often at all of them together.
    assert [give(second, "wrong").status_code for _time in range(2)] == [403, 429]
    # Others get in, at both; and the owner sees and ends what is theirs.
    for ip in ("198.51.100.7", "2001:db8::1"):
        assert give(door, "right", ip).status_code == 200
    # Of an IPv6 network all addresses are one.
    assert [give(door, "wrong", f"2001:db8::{n}").status_code for n in (1, 2, 3)] == [403, 403, 429]
    assert owner_api.get("/shares").json()["total"] == 2


# --- What was given out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["revoked", "expired", "drive deleted"])
def test_what_a_share_gave_out_ends_with_it(
    owner_api: Client, anonymous: Client, drive: Drive, album: str, picture: str, way: str
) -> None:
    made = share(owner_api, album)
    door = f"/shared/{token_in(made)}"
    other = open_share(owner_api, album)
    given = [
        post(anonymous, f"{door}/download")["download_url"],
        post(anonymous, f"{door}/download", id=picture)["download_url"],
        anonymous.get(f"{door}/files/{picture}/preview").json()["preview_url"],
    ]
    others = [
        post(anonymous, f"{other}/download")["download_url"],
        owner_api.get(f"/files/{picture}/download").json()["download_url"],
    ]
    for url in given:
        assert fetch(url)
    if way == "revoked":
        owner_api.delete(f"/shares/{made['id']}")
        code, slug = 410, "share_revoked"
    elif way == "expired":
        ShareLink.objects.filter(pk=made["id"]).update(expires_at=timezone.now())
        code, slug = 410, "share_expired"
    else:
        owner_api.delete(f"/drives/{drive.pk}")
        code, slug = 404, "not_found"
    for url in given:
        refused(Browser().get(urlsplit(url).path), code, slug)
        # Whoever goes on after an interruption is stopped, too.
        refused(Browser().get(urlsplit(url).path, headers={"Range": "bytes=1-"}), code, slug)
    if way != "drive deleted":
        for url in others:
            assert fetch(url)


def test_a_zip_of_what_was_taken_out_of_the_share_is_over(
    owner: User, owner_api: Client, anonymous: Client, album: str
) -> None:
    """It is made as it is read: what comes into the folder now is for its owner alone."""
    door, deep = open_share(owner_api, album), id_at("/相册/深")
    whole = post(anonymous, f"{door}/download")["download_url"]
    part = post(anonymous, f"{door}/download", id=deep)["download_url"]
    own = post(owner_api, "/files/archive", ids=[album])["download_url"]
    post(owner_api, f"/files/{deep}/move", folder_path="/")
    refused(Browser().get(urlsplit(part).path), 404, "not_found")
    assert fetch(whole) == fetch(own)
    private = create_drive(user=owner, name="private")
    post(owner_api, f"/files/{album}/move", folder_path="/", drive_id=str(private.pk))
    for url in (whole, own):
        refused(Browser().get(urlsplit(url).path), 404, "not_found")


def test_the_last_download_can_be_fetched_and_gone_on_with(
    owner_api: Client, anonymous: Client, album: str
) -> None:
    door = open_share(owner_api, album, max_downloads=1)
    url = post(anonymous, f"{door}/download")["download_url"]
    refused(anonymous.get(door), 410, "share_exhausted")
    whole = fetch(url)
    rest = Browser().get(urlsplit(url).path, headers={"Range": "bytes=9-"})
    assert (rest.status_code, b"".join(rest.streaming_content)) == (206, whole[9:])  # type: ignore[attr-defined]


def test_links_into_a_bucket_are_short(
    owner_api: Client, anonymous: Client, album: str, storage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot be taken back; a client that goes on comes by again."""
    asked: list[int] = []

    def bucket_link(_storage: Any, key: str, *, seconds: int, **_rest: Any) -> str:
        asked.append(seconds)
        return f"https://bucket.example/{key}"

    door = open_share(owner_api, album)
    url = post(anonymous, f"{door}/download", id=id_at("/相册/猫.png"))["download_url"]
    monkeypatch.setattr(type(blob_storage()), "link", bucket_link)
    assert Browser().get(urlsplit(url).path).status_code == 302
    assert asked == [60]
