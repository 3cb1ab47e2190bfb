"""POST /auth/device: devices that sign in by themselves, their guests, and the end of both."""

from functools import partial
from typing import Any

import pytest
from django.conf import settings as live
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Device, Session, User
from accounts.services.tokens import read_access
from billing.models import LedgerEntry, Wallet
from common.ids import digest
from drives.models import Drive
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db


def sign_in(api: Client | None = None, **form: Any) -> Any:
    return (api or Client()).post("/auth/device", form)


def new_device(**form: Any) -> dict[str, Any]:
    answer = sign_in(**form)
    assert answer.status_code == 200, answer.json()
    body: dict[str, Any] = answer.json()
    return body


def client_of(body: dict[str, Any]) -> Client:
    api = Client()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    return api


def test_first_use() -> None:
    body = new_device(name="Lin's workstation")
    assert set(body) == {
        "access_token", "refresh_token", "token_type", "expires_in", "user", "device_id", "device_secret",
    }  # fmt: skip
    user, device = User.objects.get(), Device.objects.get()
    assert user.is_guest and user.username.startswith("dev_") and not user.has_usable_password()
    assert (body["user"]["id"], body["user"]["phone"]) == (str(user.pk), None)
    assert (device.user, device.device_id, device.name) == (user, body["device_id"], "Lin's workstation")
    assert device.secret_hash == digest(body["device_secret"])
    assert Drive.objects.get().user == user
    # Trial credit is for people: a device costs nothing.
    assert Wallet.objects.get().balance == 0 and not LedgerEntry.objects.exists()
    session = Session.objects.get()
    assert (session.pk, session.device) == (
        read_access(body["access_token"]).session_id,
        "Lin's workstation",
    )


def test_later_uses() -> None:
    first = new_device(device_id="workstation-0001")
    assert first["device_id"] == "workstation-0001"
    form = {"device_id": "workstation-0001", "device_secret": first["device_secret"]}
    again = new_device(**form, name="Renamed")
    assert "device_secret" not in again
    assert again["user"]["id"] == first["user"]["id"]
    assert User.objects.count() == 1 and Session.objects.count() == 2
    device = Device.objects.get()
    assert device.name == "Renamed" and device.last_seen_at > device.created_at


@pytest.mark.parametrize(
    "form",
    [
        {"device_id": "workstation-0001", "device_secret": "wrong"},
        {"device_id": "workstation-0001"},
        {"device_id": "workstation-0001", "device_secret": ""},
        {"device_id": "unknown-0002", "device_secret": "anything"},
        {"device_secret": "anything"},
    ],
)
def test_without_the_right_secret(form: dict[str, Any]) -> None:
    new_device(device_id="workstation-0001")
    answer = sign_in(**form)
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    assert User.objects.count() == Device.objects.count() == Session.objects.count() == 1


def test_the_secret_of_another_device() -> None:
    mine, other = new_device(), new_device()
    answer = sign_in(device_id=other["device_id"], device_secret=mine["device_secret"])
    assert answer.status_code == 401
    assert Session.objects.count() == 2


@pytest.mark.parametrize(
    "form",
    [
        {"device_id": "short"},
        {"device_id": "x" * 129},
        {"device_id": "空格 and more"},
        {"device_id": "tab\there-0001"},
        {"name": "x" * 101},
        {"device_secret": "x" * 129},
    ],
)
def test_malformed_fields(form: dict[str, Any]) -> None:
    answer = sign_in(**form)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert not User.objects.exists()


def test_a_blocked_user() -> None:
    body = new_device()
    User.objects.update(is_active=False)
    answer = sign_in(device_id=body["device_id"], device_secret=body["device_secret"])
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    assert Session.objects.count() == 1


def test_new_devices_are_limited_by_address(settings: Any) -> None:
    settings.DEVICE_LIMITS = {**settings.DEVICE_LIMITS, "new": (2, 86400)}
    known = new_device()
    new_device()
    answer = sign_in()
    assert answer.status_code == 429 and int(answer["Retry-After"]) > 80_000
    assert User.objects.count() == 2
    # Those that are known go on.
    assert sign_in(device_id=known["device_id"], device_secret=known["device_secret"]).status_code == 200


def test_sign_ins_are_limited_by_address(settings: Any) -> None:
    settings.DEVICE_LIMITS = {**settings.DEVICE_LIMITS, "sign_in": (2, 60)}
    codes = [sign_in(device_id="workstation-0001", device_secret="x").status_code for _time in range(3)]
    assert codes == [401, 401, 429]


def test_my_devices() -> None:
    body = new_device(device_id="workstation-0001", name="Workstation")
    api = client_of(body)
    device = Device.objects.get()
    shown = api.get("/users/me/devices").json()
    assert (shown["total"], shown["skip"]) == (1, 0)
    assert shown["devices"] == [
        {
            "id": str(device.pk),
            "device_id": "workstation-0001",
            "name": "Workstation",
            "created_at": device.created_at.isoformat().replace("+00:00", "Z"),
            "last_seen_at": device.last_seen_at.isoformat().replace("+00:00", "Z"),
        }
    ]
    assert Client(make_user()).get("/users/me/devices").json()["devices"] == []
    assert Client().get("/users/me/devices").status_code == 401


def test_my_devices_cost_a_constant_number_of_queries() -> None:
    api = client_of(new_device())
    user = User.objects.get()
    api.get("/users/me/devices")
    with CaptureQueriesContext(connection) as one:
        api.get("/users/me/devices")
    for number in range(5):
        Device.objects.create(
            user=user, device_id=f"more-{number}", secret_hash="", last_seen_at=user.created_at
        )
    with CaptureQueriesContext(connection) as six:
        assert api.get("/users/me/devices").json()["total"] == 6
    assert len(six) == len(one) <= 3


def test_revoking_ends_its_sessions_and_no_others() -> None:
    body = new_device()
    again = new_device(device_id=body["device_id"], device_secret=body["device_secret"])
    user = User.objects.get()
    elsewhere = Client(user)
    device = Device.objects.get()
    stranger = Client(make_user())
    assert stranger.delete(f"/users/me/devices/{device.pk}").status_code == 404
    assert client_of(body).get("/users/me").status_code == 200

    answer = elsewhere.delete(f"/users/me/devices/{device.pk}")
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    for ended in (body, again):
        assert client_of(ended).get("/users/me").status_code == 401
        assert Client().post("/auth/refresh", {"refresh_token": ended["refresh_token"]}).status_code == 401
    assert elsewhere.get("/users/me").status_code == 200
    answer = sign_in(device_id=body["device_id"], device_secret=body["device_secret"])
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_credentials")
    # Its id is not free for somebody new.
    assert sign_in(device_id=body["device_id"]).status_code == 401
    assert elsewhere.get("/users/me/devices").json()["devices"] == []
    assert elsewhere.delete(f"/users/me/devices/{device.pk}").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_first_uses_of_one_id_make_one_account() -> None:
    for number in range(3):
        answers = race(6, partial(lambda name, _racer: sign_in(device_id=name), f"workstation-{number:04d}"))
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 5
        assert User.objects.count() == Device.objects.count() == Session.objects.count() == number + 1


@pytest.mark.django_db(transaction=True)
def test_who_signs_in_while_the_device_is_revoked_is_out_too(settings: Any) -> None:
    settings.DEVICE_LIMITS = {**live.DEVICE_LIMITS, "sign_in": (1000, 60)}
    for _round in range(4):
        body = new_device()
        device = Device.objects.get(device_id=body["device_id"])
        elsewhere = Client(device.user)
        form = {"device_id": body["device_id"], "device_secret": body["device_secret"]}

        def act(number: int, device: Device = device, api: Client = elsewhere, form: Any = form) -> Any:
            return api.delete(f"/users/me/devices/{device.pk}") if number == 0 else sign_in(**form)

        answers = race(6, act)
        assert answers[0].status_code == 200
        for answer in answers[1:]:
            assert answer.status_code in (200, 401)
            if answer.status_code == 200:
                assert client_of(answer.json()).get("/users/me").status_code == 401
