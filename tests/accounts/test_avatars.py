"""Pictures of users: checked by what is in them, redrawn, public under a name nobody can guess."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser
from PIL import Image

from accounts.models import AuditEvent, User
from accounts.models.users import users_updated
from accounts.services import avatars
from tests.accounts import pictures
from tests.accounts.pictures import picture
from tests.accounts.staff import FORM
from tests.conftest import Client
from tests.factories import token_of
from tests.racing import race

PATH = "/users/me/avatar"
FOLDER = settings.YUNTU_VAR / "media" / "avatars"
Colour = tuple[int, ...]


@pytest.fixture(autouse=True)
def _empty_folder() -> None:
    for file in stored():
        file.unlink()


def stored() -> list[Path]:
    return list(FOLDER.glob("*")) if FOLDER.exists() else []


def send(api: Client, content: bytes, *, field: str = "avatar", name: str = "me.png", **options: Any) -> Any:
    return api.post(PATH, {field: SimpleUploadedFile(name, content)}, format="multipart", **options)


def drawn(url: str) -> Image.Image:
    answer = Browser().get(url)
    assert answer.status_code == 200
    return Image.open(BytesIO(answer.content))


def close(found: Any, colour: Colour) -> bool:
    return all(abs(part - wanted) < 12 for part, wanted in zip(found, colour, strict=True))


def memory(name: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at the highest since `forget_peak`."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def refused(api: Client, content: bytes, name: str = "me.png") -> bool:
    """Whether it is refused as no picture, in little memory, leaving nothing behind."""
    assert api.user is not None
    before = User.objects.filter(pk=api.user.pk).values().get()
    forget_peak()
    used = memory("VmRSS")
    answer = send(api, content, name=name)
    assert (answer.status_code, answer.json()["code"]) == (422, "image_invalid"), answer.json()
    assert memory("VmHWM") - used < 32 * 2**20
    assert answer.json()["errors"][0]["loc"] == ["body", "avatar"]
    assert stored() == []
    return User.objects.filter(pk=api.user.pk).values().get() == before


# --- Good ones --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("field", ["avatar", "file"])
def test_a_picture(owner: User, owner_api: Client, kind: str, field: str) -> None:
    answer = send(owner_api, picture(kind, (400, 300)), field=field, name="../../evil.html")
    assert answer.status_code == 200, answer.json()
    url = answer.json()["avatar"]
    assert re.fullmatch(r"http://testserver/media/avatars/[0-9a-f]{32}\.webp", url)
    assert owner_api.get("/users/me").json()["avatar"] == url
    image = drawn(url)
    assert (image.format, image.size, image.mode) == ("WEBP", (256, 256), "RGB")
    assert close(image.getpixel((20, 128)), (255, 0, 0))
    assert close(image.getpixel((236, 128)), (0, 0, 255))
    [event] = AuditEvent.objects.filter(user=owner, action=AuditEvent.Action.PROFILE_CHANGED)
    assert (event.actor, event.before) == (owner, {"avatar": ""})
    assert event.after == {"avatar": url.removeprefix("http://testserver/media/")}


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("L", "JPEG"),
        ("CMYK", "JPEG"),
        ("1", "PNG"),
        ("I;16", "PNG"),
    ],
)
def test_every_kind_of_pixel(owner_api: Client, mode: str, kind: str) -> None:
    answer = send(owner_api, picture(kind, mode="L" if mode == "I;16" else mode))
    assert answer.status_code == 200, answer.json()
    assert drawn(answer.json()["avatar"]).size == (256, 256)


def test_what_is_transparent_stays_so(owner_api: Client) -> None:
    image = drawn(send(owner_api, picture("PNG", mode="RGBA")).json()["avatar"])
    assert image.mode == "RGBA"
    assert close(image.getpixel((236, 128)), (0, 0, 255, 128))


@pytest.mark.parametrize("size", [(1, 1), (12_000, 1), (3, 5000)])
def test_every_shape(owner_api: Client, size: tuple[int, int]) -> None:
    answer = send(owner_api, picture("PNG", size))
    assert answer.status_code == 200
    assert drawn(answer.json()["avatar"]).size == (256, 256)


def test_the_content_counts_not_the_name(owner_api: Client) -> None:
    assert send(owner_api, picture("JPEG"), name="me.txt").status_code == 200
    assert send(owner_api, picture("GIF"), name="me.svg").status_code == 200


def test_upright_and_without_what_the_camera_wrote(owner_api: Client) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: right of the stored picture is below
    exif[0x010F] = "Camera of Lin"
    sent = picture("JPEG", (300, 300), exif=exif, icc_profile=b"profile of Lin", comment=b"note of Lin")
    assert b"Lin" in sent
    url = send(owner_api, sent).json()["avatar"]
    image = drawn(url)
    assert close(image.getpixel((128, 20)), (255, 0, 0))
    assert close(image.getpixel((128, 236)), (0, 0, 255))
    content = Browser().get(url).content
    assert b"Lin" not in content
    assert dict(image.getexif()) == {}
    assert not {"icc_profile", "exif", "xmp"} & set(image.info)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_a_moving_picture_the_first_frame(owner_api: Client, kind: str) -> None:
    image: Any = drawn(send(owner_api, pictures.animated(kind)).json()["avatar"])
    assert getattr(image, "n_frames", 1) == 1
    assert close(image.convert("RGB").getpixel((128, 128)), (255, 0, 0))


def test_the_largest_ones_take_bounded_memory(owner_api: Client) -> None:
    photograph, sheet = picture("JPEG", (7000, 5000), quality=30), pictures.png_of_nothing(6300)
    for content, megabytes in ((photograph, 64), (sheet, 256)):
        forget_peak()
        used = memory("VmRSS")
        assert send(owner_api, content).status_code == 200
        assert memory("VmHWM") - used < megabytes * 2**20


# --- Bad ones ---------------------------------------------------------------------------------------------

BOMBS = {
    "PNG of 50,000 x 50,000": pictures.png(50_000, 50_000),
    "PNG just above the sides": pictures.png(12_001, 1),
    "PNG just above the pixels": pictures.png(8_000, 5_001),
    "PNG of no size": pictures.png(0, 0),
    "PNG with a zipped profile": pictures.png(10, 10, pictures.chunk(b"iCCP", b"x\0\0" + pictures.ZIPPED)),
    "PNG with a zipped text": pictures.png(10, 10, pictures.chunk(b"zTXt", b"x\0\0" + pictures.ZIPPED)),
    "PNG with a zipped long text": pictures.png(
        10, 10, pictures.chunk(b"iTXt", b"x\0\1\0\0\0" + pictures.ZIPPED)
    ),
    "GIF with a large screen": pictures.gif((65_000, 65_000), (1, 1)),
    "GIF with a large frame on a small screen": pictures.gif((1, 1), (65_000, 65_000)),
    "JPEG of 65,000 x 65,000": pictures.jpeg_of(65_000, 65_000),
    "WebP with a large canvas": pictures.webp(16_000, 16_000),
    "WebP with the largest canvas": pictures.webp(2**24, 2**24),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(owner_api: Client, name: str) -> None:
    assert len(BOMBS[name]) < 300_000
    assert refused(owner_api, BOMBS[name])


def test_the_bounds_themselves(owner_api: Client) -> None:
    """Whole pictures, with which nothing is wrong but their size; the bombs above are cut short, too."""
    assert refused(owner_api, picture("JPEG", (12_001, 8)))
    assert refused(owner_api, picture("JPEG", (8_000, 5_001)))
    assert send(owner_api, picture("JPEG", (12_000, 8))).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        pictures.SVG, pictures.HTML, b"\0", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF\x04\0\0\0WEBP", b"%PDF-1.4\n",
        b"BM" + b"\0" * 60, b"PK\x03\x04" + b"\0" * 60, picture("BMP"), picture("TIFF"), picture("ICO", (16, 16)),
        picture("PPM"), pictures.HTML + picture("PNG"),
    ],
    ids=lambda content: repr(content[:16]),
)  # fmt: skip
def test_what_is_no_picture_of_ours(owner_api: Client, content: bytes) -> None:
    assert refused(owner_api, content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_short(owner_api: Client, kind: str, share: float) -> None:
    whole = picture(kind, (800, 600))
    assert refused(owner_api, whole[: int(len(whole) * share)])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "JPEG"])
def test_damaged_ones_are_refused_or_drawn_never_a_crash(owner_api: Client, kind: str) -> None:
    whole = picture(kind, (64, 64))
    found = set()
    for place in range(0, len(whole), max(len(whole) // 60, 1)):
        broken = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
        try:
            avatars.redraw(BytesIO(broken))
            found.add("drawn")
        except avatars.ImageInvalid:
            found.add("refused")
    assert "refused" in found


def test_code_behind_a_picture_does_not_stay(owner_api: Client) -> None:
    url = send(owner_api, picture("GIF") + pictures.HTML).json()["avatar"]
    assert b"script" not in Browser().get(url).content


def test_too_large(owner: User, owner_api: Client) -> None:
    padded = picture("PNG") + b"\0" * avatars.MAX_SIZE
    for content in (padded, picture("PNG") + b"\0" * (6 * 2**20)):
        answer = send(owner_api, content)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert answer.json()["max_size"] == 5 * 2**20
    exact = padded[: avatars.MAX_SIZE]
    assert send(owner_api, exact).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"avatar": "text"}, {"picture": SimpleUploadedFile("a.png", picture())}]
)
def test_without_a_file(owner_api: Client, body: dict[str, Any]) -> None:
    answer = owner_api.post(PATH, body, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert stored() == []


def test_an_empty_file_and_another_media_type(owner_api: Client) -> None:
    assert send(owner_api, b"").status_code == 422
    assert owner_api.post(PATH, {"avatar": "x"}).status_code == 415


def test_only_for_who_is_signed_in(anonymous: Client) -> None:
    assert send(anonymous, picture()).status_code == 401
    assert anonymous.delete(PATH).status_code == 401
    assert stored() == []


def test_no_more_than_twenty_an_hour(owner_api: Client, settings: Any) -> None:
    settings.THROTTLES = {**settings.THROTTLES, "avatar": (2, 3600)}
    assert [send(owner_api, picture()).status_code for _ in range(3)] == [200, 200, 429]


def test_pictures_are_read_one_at_a_time(owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may take 200 MB for a moment."""
    monkeypatch.setattr(avatars, "PATIENCE", 0.05)
    with avatars.one_at_a_time:
        answer = send(owner_api, picture())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert send(owner_api, picture()).status_code == 200
    assert send(owner_api, b"x").status_code == 422
    assert not avatars.one_at_a_time.locked()


# --- Replaced, taken away, served -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_another_picture_takes_the_place_of_the_first(owner: User, owner_api: Client) -> None:
    first = send(owner_api, picture()).json()["avatar"]
    second = send(owner_api, picture()).json()["avatar"]
    assert first != second
    assert [file.name for file in stored()] == [second.rpartition("/")[2]]
    assert Browser().get(first).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_taken_away(owner: User, owner_api: Client) -> None:
    url = send(owner_api, picture()).json()["avatar"]
    answer = owner_api.delete(PATH)
    assert (answer.status_code, answer.json()["avatar"]) == (200, "")
    assert (User.objects.get(pk=owner.pk).avatar.name, stored()) == ("", [])
    assert Browser().get(url).status_code == 404
    assert owner_api.delete(PATH).status_code == 200
    assert AuditEvent.objects.filter(user=owner, action=AuditEvent.Action.PROFILE_CHANGED).count() == 2


@pytest.mark.django_db(transaction=True)
def test_taken_away_by_an_operator(owner: User, owner_api: Client) -> None:
    send(owner_api, picture())
    office = Browser()
    boss = User.objects.create_superuser("boss", "x")
    office.force_login(boss)
    page = f"/admin/accounts/user/{owner.pk}/change/"
    assert 'type="file"' not in office.get(page).content.decode()
    form = {"action": "remove_avatars", "_selected_action": [str(owner.pk), str(boss.pk)], **FORM}
    assert office.post("/admin/accounts/user/", form).status_code == 302
    assert (User.objects.get(pk=owner.pk).avatar.name, stored()) == ("", [])
    event = AuditEvent.objects.filter(user=owner, action=AuditEvent.Action.PROFILE_CHANGED).latest(
        "created_at"
    )
    assert (event.actor, event.after) == (boss, {"avatar": ""})


@pytest.mark.django_db(transaction=True)
def test_what_is_not_committed_leaves_no_file_and_keeps_the_old(owner: User, owner_api: Client) -> None:
    url = send(owner_api, picture()).json()["avatar"]

    def refuse(**_news: Any) -> None:
        raise RuntimeError("no")

    owner_api.raise_request_exception = False
    users_updated.connect(refuse)
    try:
        assert send(owner_api, picture()).status_code == 500
    finally:
        users_updated.disconnect(refuse)
    assert [file.name for file in stored()] == [url.rpartition("/")[2]]
    assert User.objects.get(pk=owner.pk).avatar.name == f"avatars/{stored()[0].name}"


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_file_stays(owner: User) -> None:
    token = token_of(owner)

    def act(number: int) -> int:
        return int(send(Client(), picture(), headers={"Authorization": f"Bearer {token}"}).status_code)

    assert race(6, act) == [200] * 6
    assert [f"avatars/{file.name}" for file in stored()] == [User.objects.get(pk=owner.pk).avatar.name]


def test_served_to_anybody_for_good(owner_api: Client) -> None:
    url = send(owner_api, picture()).json()["avatar"].removeprefix("http://testserver")
    answer = Browser().get(url)
    assert answer["Content-Type"] == "image/webp"
    assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert "Set-Cookie" not in answer
    assert Browser().head(url).status_code == 200
    assert Browser().post(url).status_code == 405


@pytest.mark.parametrize(
    "name",
    ["", "x.webp", "../../sms.jsonl", "..%2f..%2foutbox%2fsms.jsonl", "a" * 32 + ".png", "A" * 32 + ".webp"],
)
def test_nothing_else_is_served(db: None, name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "x.webp").write_bytes(b"x")
    (FOLDER / ("a" * 32 + ".png")).write_bytes(b"x")
    assert Browser().get(f"/media/avatars/{name}").status_code == 404


def test_nginx_serves_the_same() -> None:
    text = (settings.BASE_DIR / "deploy/nginx.conf").read_text()
    block = text.split("location /media/avatars/ {")[1].split("}\n\n")[0]
    assert "alias /var/lib/yuntu/media/avatars/;" in block
    for header in ("public, max-age=31536000, immutable", "nosniff", "sandbox; default-src 'none'"):
        assert header in block


def test_the_address_begins_with_the_public_one(owner_api: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://yuntu.example.com/"
    url = send(owner_api, picture()).json()["avatar"]
    assert url.startswith("https://yuntu.example.com/media/avatars/")
    assert owner_api.put("/users/me", {"avatar": url}).json()["avatar"] == url


@pytest.mark.django_db(transaction=True)
def test_pictures_are_read_outside_of_transactions(
    owner_api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    read = Image.open

    def watched(*args: Any, **options: Any) -> Image.Image:
        seen.append(connection.in_atomic_block)
        return read(*args, **options)

    monkeypatch.setattr(Image, "open", watched)
    assert send(owner_api, picture()).status_code == 200
    assert seen == [False]
