"""/users/me/app-passwords: passwords of network drives, and what they open."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.errors import TokenInvalid
from accounts.models import AppPassword, User
from accounts.services import app_passwords, passwords
from accounts.services.blocking import block, unblock
from accounts.services.deletion import delete_user
from accounts.services.sessions import open_session
from common.ids import digest
from tests.accounts.conftest import code_for
from tests.conftest import Client
from tests.drives.dav import Dav
from tests.factories import PASSWORD, make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
NEW = "Red-lantern-43"


def test_made_shown_once_listed_and_revoked(owner: User, owner_api: Client, stranger_api: Client) -> None:
    answer = owner_api.post("/users/me/app-passwords", {"name": "书房的电脑"})
    assert answer.status_code == 201
    body = answer.json()
    row = AppPassword.objects.get()
    assert body == {
        "id": str(row.pk),
        "name": "书房的电脑",
        "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        "last_used_at": None,
        "password": body["password"],
        "username": "owner",
    }
    assert len(body["password"]) == 32 and row.secret_hash == digest(body["password"])
    dav = Dav(owner, body["password"])
    assert dav("PROPFIND", "/").status_code == 207

    listed = owner_api.get("/users/me/app-passwords").json()
    assert (listed["total"], set(listed["app_passwords"][0])) == (
        1,
        {"id", "name", "created_at", "last_used_at"},
    )
    assert listed["app_passwords"][0]["last_used_at"] is not None
    assert stranger_api.get("/users/me/app-passwords").json()["app_passwords"] == []
    assert stranger_api.delete(f"/users/me/app-passwords/{row.pk}").status_code == 404
    assert dav("PROPFIND", "/").status_code == 207

    assert owner_api.delete(f"/users/me/app-passwords/{row.pk}").json() == {"success": True}
    assert dav("PROPFIND", "/").status_code == 401
    assert owner_api.get("/users/me/app-passwords").json()["total"] == 0
    assert owner_api.delete(f"/users/me/app-passwords/{row.pk}").status_code == 404


def test_there_is_an_end_to_them(owner: User, owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_passwords, "MAX_APP_PASSWORDS", 2)
    codes = [owner_api.post("/users/me/app-passwords", {"name": "x"}).status_code for _number in range(3)]
    assert codes == [201, 201, 409]
    assert AppPassword.objects.count() == 2
    assert owner_api.post("/users/me/app-passwords", {"name": " "}).status_code == 422


def test_a_list_costs_a_constant_number_of_queries(owner: User, owner_api: Client) -> None:
    counts = []
    for _number in range(2):
        app_passwords.create(user=owner, name="x")
        owner_api.get("/users/me/app-passwords")
        with CaptureQueriesContext(connection) as queries:
            owner_api.get("/users/me/app-passwords")
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 3


def test_who_is_blocked_loses_them_for_good(owner: User) -> None:
    _row, password = app_passwords.create(user=owner, name="x")
    dav = Dav(owner, password)
    block(User.objects.filter(pk=owner.pk))
    assert dav("PROPFIND", "/").status_code == 401
    unblock(User.objects.filter(pk=owner.pk))
    assert dav("PROPFIND", "/").status_code == 401


@pytest.mark.parametrize("way", ["change", "reset", "operator"])
def test_a_new_password_ends_them_all(owner: User, owner_api: Client, stranger: User, way: str) -> None:
    drives = [Dav(owner), Dav(owner)]
    theirs = Dav(stranger)
    if way == "change":
        form = {"old_password": PASSWORD, "new_password": NEW}
        assert owner_api.post("/auth/change-password", form).status_code == 200
    elif way == "reset":
        phone = str(owner.phone)
        form = {
            "phone": phone,
            "verification_code": code_for(Client(), phone, "reset_password"),
            "new_password": NEW,
        }
        assert Client().post("/auth/reset-password", form).status_code == 200
    else:
        passwords.note_change(owner, actor=stranger)
    assert [dav("PROPFIND", "/").status_code for dav in drives] == [401, 401]
    assert theirs("PROPFIND", "/").status_code == 207
    owner.refresh_from_db()
    assert "网络硬盘" in Client(owner).get("/notifications").json()["notifications"][0]["message"]
    assert Dav(owner)("PROPFIND", "/").status_code == 207


def test_a_session_that_has_just_ended_makes_none(owner: User) -> None:
    """It was good when the request came in; the change of password came between."""
    session = open_session(user=owner, device="", ip="127.0.0.1")[0]
    passwords.note_change(owner, actor=owner)
    with pytest.raises(TokenInvalid):
        app_passwords.create(user=owner, name="x", session=session)
    assert not AppPassword.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_none_of_those_made_while_the_password_changes_outlives_it(owner: User) -> None:
    clients = [Client(owner) for _number in range(4)]

    def act(turn: int) -> int:
        if turn:
            answer = clients[turn].post("/users/me/app-passwords", {"name": "x"})
        else:
            form = {"old_password": PASSWORD, "new_password": NEW}
            answer = clients[turn].post("/auth/change-password", form)
        return int(answer.status_code)

    statuses = race(4, act)
    assert statuses[0] == 200 and set(statuses[1:]) <= {201, 401}
    assert not AppPassword.objects.filter(revoked_at__isnull=True).exists()


def test_a_user_made_inactive_by_another_way_is_out_too(owner: User) -> None:
    _row, password = app_passwords.create(user=owner, name="x")
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert Dav(owner, password)("PROPFIND", "/").status_code == 401


def test_who_is_deleted_leaves_none(owner: User) -> None:
    app_passwords.create(user=owner, name="x")
    User.objects.filter(pk=owner.pk).update(deletion_due_at=timezone.now())
    assert delete_user(user_id=owner.pk, now=timezone.now())
    assert not AppPassword.objects.exists()


def test_guests_have_none() -> None:
    guest = make_user(is_guest=True)
    answer = Client(guest).post("/users/me/app-passwords", {"name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "phone_required")
    _row, password = app_passwords.create(user=guest, name="x")
    assert Dav(guest, password)("PROPFIND", "/").status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !!!", "Basic b3duZXI=", "Bearer abc", "Basic //86//8="],
    ids=["none", "empty", "no base64", "no colon", "bearer", "no UTF-8"],
)
def test_without_credentials(owner: User, header: str) -> None:
    answer = Dav(owner, "")("PROPFIND", "/", Authorization=header)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, 'Basic realm="Yuntu", charset="UTF-8"')


def test_wrong_ones_are_slowed_and_the_right_one_goes_on(owner: User, stranger: User, settings: Any) -> None:
    settings.APP_PASSWORD_LIMITS = {"ip": (3, 60), "user": (2, 60)}
    row, password = app_passwords.create(user=owner, name="x")
    answers = [Dav(owner, wrong)("PROPFIND", "/") for wrong in ("a", "b", "c")]
    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert 0 < int(answers[2]["Retry-After"]) <= 60
    # By address, whatever the name; the account's own password is none here, and another user's neither.
    assert [Dav(stranger, password)("PROPFIND", "/").status_code for _time in range(2)] == [401, 429]
    assert Dav(owner, password)("PROPFIND", "/").status_code == 207
    row.refresh_from_db()
    assert row.last_used_at is not None
