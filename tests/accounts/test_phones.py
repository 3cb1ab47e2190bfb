"""POST /users/me/phone: a phone for a guest, and another one for everybody."""

from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.conf import settings as live

from accounts.models import AuditEvent, Notification, Session, User
from accounts.services.notifications import notify
from billing.models import LedgerEntry, Wallet
from billing.services.receivables import lock_wallet
from tests.accounts.conftest import PHONE, wrong
from tests.accounts.test_devices import client_of, new_device
from tests.accounts.wechat import phone_code
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import overtake, race

pytestmark = pytest.mark.django_db


def bind(api: Client, phone: str = PHONE, code: str = "") -> Any:
    return api.post("/users/me/phone", {"phone": phone, "verification_code": code or phone_code(phone)})


def test_a_guest_becomes_a_user() -> None:
    body = new_device()
    api = client_of(body)
    assert api.post("/drives", {"name": "Scenes"}).status_code == 403
    answer = bind(api)
    assert answer.status_code == 200
    assert (answer.json()["phone"], answer.json()["balance"]) == (PHONE, 50)
    user = User.objects.get()
    assert (user.phone, user.is_guest) == (PHONE, False)
    # The same session goes on, with the rights of everybody.
    assert api.post("/drives", {"name": "Scenes"}).status_code == 201
    assert Wallet.objects.get().balance == Decimal(50)
    assert LedgerEntry.objects.get().key == "trial-credit"
    bound = AuditEvent.objects.get(action=AuditEvent.Action.PHONE_BOUND)
    assert (bound.user, bound.actor, bound.before) == (user, user, {"phone": ""})
    assert bound.after == {"phone": "139****5678"}
    assert not Notification.objects.exists()
    # The device still signs in, now as this user.
    form = {"device_id": body["device_id"], "device_secret": body["device_secret"]}
    assert new_device(**form)["user"]["phone"] == PHONE


def test_another_phone() -> None:
    user = make_user()
    before = user.phone
    api, other = Client(user), Client(user)
    assert bind(api).status_code == 200
    user.refresh_from_db()
    assert user.phone == PHONE
    # One trial credit for life.
    assert Wallet.objects.get().balance == Decimal(50)
    assert other.get("/users/me").json()["phone"] == PHONE
    bound = AuditEvent.objects.get(action=AuditEvent.Action.PHONE_BOUND)
    assert (bound.before, bound.after) == (
        {"phone": f"{str(before)[:3]}****{str(before)[-4:]}"},
        {"phone": "139****5678"},
    )
    assert "139****5678" in other.get("/notifications").json()["notifications"][0]["message"]
    for identifier, status in ((before, 401), (PHONE, 200)):
        form = {"username": identifier, "password": PASSWORD}
        assert Client().post("/auth/login", form).status_code == status


def test_no_credit_for_who_was_no_guest(settings: Any) -> None:
    settings.TRIAL_CREDIT = Decimal(0)
    user = make_user()
    settings.TRIAL_CREDIT = Decimal(80)
    assert bind(Client(user)).status_code == 200
    assert Wallet.objects.get().balance == 0


def test_a_username_that_is_the_phone_moves_along() -> None:
    user = make_user()
    User.objects.filter(pk=user.pk).update(username=user.phone)
    assert bind(Client(user)).status_code == 200
    user.refresh_from_db()
    assert (user.username, user.phone) == (PHONE, PHONE)


def test_the_phone_one_has() -> None:
    user = make_user()
    assert bind(Client(user), user.phone or "").status_code == 200
    assert not Notification.objects.exists()


def test_a_phone_of_somebody_else() -> None:
    other = make_user()
    api = client_of(new_device())
    code = phone_code(other.phone or "")
    answer = bind(api, other.phone or "", code)
    assert (answer.status_code, answer.json()["code"]) == (409, "phone_taken")
    guest = User.objects.get(is_guest=True)
    assert guest.phone is None and Wallet.objects.get(user=guest).balance == 0
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.PHONE_BOUND).exists()
    # The code stays usable.
    User.objects.filter(pk=other.pk).update(phone=None)
    assert bind(api, other.phone or "", code).status_code == 200


def test_a_wrong_code() -> None:
    user = make_user()
    before, code = user.phone, phone_code(PHONE)
    answer = bind(Client(user), PHONE, wrong(code))
    assert (answer.status_code, answer.json()["code"]) == (400, "code_invalid")
    user.refresh_from_db()
    assert user.phone == before


@pytest.mark.parametrize("purpose", ["register", "login", "reset_password"])
def test_a_code_for_something_else(purpose: str) -> None:
    user = make_user()
    answer = bind(Client(user), PHONE, phone_code(PHONE, purpose))
    assert (answer.status_code, answer.json()["code"]) == (400, "code_invalid")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"phone": PHONE},
        {"phone": "12345", "verification_code": "123456"},
        {"phone": PHONE, "verification_code": "12345"},
        {"phone": None, "verification_code": "123456"},
    ],
)
def test_malformed_fields(form: dict[str, Any]) -> None:
    user = make_user()
    answer = Client(user).post("/users/me/phone", form)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


def test_it_needs_a_user(anonymous: Client) -> None:
    assert bind(anonymous, PHONE, "123456").status_code == 401


def test_limits_by_user(settings: Any) -> None:
    settings.WECHAT_LIMITS = {**live.WECHAT_LIMITS, "phone": (1, 60)}
    api = Client(make_user())
    codes = [bind(api, PHONE, "123456").status_code for _time in range(2)]
    assert codes == [400, 429]


@pytest.mark.django_db(transaction=True)
def test_a_guest_who_binds_a_phone_while_money_comes() -> None:
    """Whoever credits them has the wallet, and tells them then."""
    api = client_of(new_device())
    wallet, user, code = Wallet.objects.get(), User.objects.get(), phone_code(PHONE)
    answer = overtake(
        lambda: lock_wallet(wallet),
        lambda: bind(api, PHONE, code),
        lambda: notify(user=user, title="Your payment has arrived", message=""),
    )
    assert (answer.status_code, answer.json()["balance"]) == (200, 50)


@pytest.mark.django_db(transaction=True)
def test_one_phone_goes_to_one_of_two_guests() -> None:
    for number in range(3):
        phone = f"1391111000{number}"
        apis = [client_of(new_device()) for _guest in range(2)]
        code = phone_code(phone)
        act = partial(lambda apis, phone, code, racer: bind(apis[racer], phone, code), apis, phone, code)
        answers = race(2, act)
        outcomes = sorted(answer.status_code for answer in answers)
        assert outcomes in ([200, 400], [200, 409])
        assert User.objects.filter(phone=phone).count() == 1
        assert LedgerEntry.objects.count() == number + 1
        assert Session.objects.count() == 2 * (number + 1)
