"""GET, PUT and PATCH /users/me, and PUT /users/profile of the desktop client."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.services import profile
from tests.accounts.conftest import codes_sent, wrong
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

Action = AuditEvent.Action
OTHER_PHONE = "13912345679"


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def code_for_phone(api: Client, phone: str = OTHER_PHONE) -> str:
    assert api.post("/auth/send-code", {"phone": phone, "purpose": "bind_phone"}).status_code == 200
    return codes_sent(phone)[-1]


def refused(api: Client, body: dict[str, Any], status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, after which the user and the audit log are as before."""
    assert api.user is not None
    before, events = User.objects.filter(pk=api.user.pk).values().get(), AuditEvent.objects.count()
    answer = api.put("/users/me", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.json()
    assert User.objects.filter(pk=api.user.pk).values().get() == before
    assert AuditEvent.objects.count() == events
    found: dict[str, Any] = answer.json()
    return found


# --- Get --------------------------------------------------------------------------------------------------


def test_the_whole_profile(owner: User, owner_api: Client) -> None:
    user = fresh(owner)
    assert owner_api.get("/users/me").json() == {
        "id": str(user.pk),
        "username": "owner",
        "phone": user.phone,
        "email": None,
        "avatar": "",
        "balance": 100,
        "member_level": 0,
        "is_active": True,
        "created_at": user.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": user.updated_at.isoformat().replace("+00:00", "Z"),
        "last_login_at": user.last_login and user.last_login.isoformat().replace("+00:00", "Z"),
        "wechat_openid": "",
        "wechat_nickname": "",
        "wechat_avatar": "",
        "wechat_bound_at": None,
        "email_verified": False,
        "has_password": True,
        "is_guest": False,
        "deletion_due_at": None,
    }
    assert owner_api.get("/auth/me").json() == owner_api.get("/users/me").json()


def test_the_profile_takes_few_queries(owner_api: Client) -> None:
    owner_api.get("/users/me")
    with CaptureQueriesContext(connection) as captured:
        assert owner_api.get("/users/me").status_code == 200
    # Session and user, unless they are remembered; WeChat; wallet; whether there is a password, which is never kept.
    assert len(captured) <= 4


def test_the_desktop_client_reads_its_own_names(owner: User) -> None:
    api = Client(owner)
    body = api.get("/users/me", headers={"User-Agent": "YuntuClient/1.0.0"}).json()
    assert (body["userId"], body["memberLevel"], body["balance"]) == (str(owner.pk), 0, 100)
    assert {"username", "email", "phone", "avatar", "createdAt", "lastLoginAt"} <= set(body)


def test_nobody_is_nobody(anonymous: Client) -> None:
    for method in ("get", "put", "patch"):
        assert getattr(anonymous, method)("/users/me").status_code == 401
    assert anonymous.put("/users/profile", {}).status_code == 401


# --- Username ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"), [("put", "/users/me"), ("patch", "/users/me"), ("put", "/users/profile")]
)
def test_another_username(owner: User, owner_api: Client, method: str, path: str) -> None:
    answer = getattr(owner_api, method)(path, {"username": "new_name"})
    assert (answer.status_code, answer.json()["username"]) == (200, "new_name")
    user = fresh(owner)
    assert (user.username, user.phone) == ("new_name", owner.phone)
    assert answer.json() == owner_api.get("/users/me").json()
    [event] = AuditEvent.objects.filter(user=owner, action=Action.PROFILE_CHANGED)
    assert (event.actor, event.before, event.after) == (
        owner,
        {"username": "owner"},
        {"username": "new_name"},
    )


@pytest.mark.parametrize(
    "name", ["", "ab", "x" * 51, "no spaces", "名字", "a-b", "a\n", "１２３４", 5, ["a"], {}]
)
def test_a_username_that_is_none(owner_api: Client, name: Any) -> None:
    body = refused(owner_api, {"username": name}, 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "username"]


def test_a_username_of_digits_is_the_own_phone(owner: User, owner_api: Client) -> None:
    body = refused(owner_api, {"username": OTHER_PHONE}, 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "username"]
    assert owner_api.put("/users/me", {"username": owner.phone}).json()["username"] == owner.phone
    [event] = AuditEvent.objects.filter(user=owner, action=Action.PROFILE_CHANGED)
    assert str(owner.phone) not in str(event.after)


def test_a_taken_username(owner_api: Client, stranger: User) -> None:
    body = refused(owner_api, {"username": "stranger"}, 409, "username_taken")
    assert "用户名" in body["detail"]


@pytest.mark.django_db(transaction=True)
def test_of_many_who_want_a_name_one_gets_it() -> None:
    users = [make_user() for _ in range(6)]

    def ask(number: int) -> int:
        return Client(users[number]).put("/users/me", {"username": "wanted"}).status_code

    assert sorted(race(6, ask)) == [200] + [409] * 5
    assert User.objects.filter(username="wanted").count() == 1
    assert AuditEvent.objects.filter(action=Action.PROFILE_CHANGED).count() == 1


# --- What is left out, null or empty ----------------------------------------------------------------------


def test_the_whole_profile_sent_back_changes_nothing(owner: User, owner_api: Client) -> None:
    User.objects.filter(pk=owner.pk).update(
        email="a@example.com", email_verified_at=timezone.now(), avatar="avatars/x.webp"
    )
    before = User.objects.filter(pk=owner.pk).values().get()
    whole = owner_api.get("/users/me").json()
    answer = owner_api.put("/users/me", whole)
    assert (answer.status_code, answer.json()) == (200, whole)
    assert User.objects.filter(pk=owner.pk).values().get() == before
    assert not AuditEvent.objects.filter(
        user=owner, action__in=[Action.PROFILE_CHANGED, Action.EMAIL_CHANGED]
    ).exists()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": None, "email": None, "phone": None, "avatar": None, "verification_code": None},
        {"email": "", "avatar": "", "verification_code": ""},
        {"balance": 1_000_000, "member_level": 3, "is_staff": True, "is_active": False, "id": "x"},
    ],
)
def test_what_changes_nothing(owner: User, owner_api: Client, body: dict[str, Any]) -> None:
    before = User.objects.filter(pk=owner.pk).values().get()
    assert owner_api.put("/users/me", body).status_code == 200
    assert User.objects.filter(pk=owner.pk).values().get() == before


def test_an_avatar_is_no_address(owner: User, owner_api: Client) -> None:
    for text in ("https://evil.example/x.png", "javascript:alert(1)", "avatars/y.webp"):
        body = refused(owner_api, {"avatar": text}, 422, "validation_error")
        assert body["errors"][0]["loc"] == ["body", "avatar"]
    User.objects.filter(pk=owner.pk).update(avatar="avatars/x.webp")
    refused(owner_api, {"avatar": "/media/avatars/y.webp"}, 422, "validation_error")
    assert owner_api.put("/users/me", {"avatar": "/media/avatars/x.webp"}).status_code == 200
    assert owner_api.put("/users/me", {"avatar": ""}).json()["avatar"] == ""
    assert fresh(owner).avatar.name == ""


# --- Phone ------------------------------------------------------------------------------------------------


def test_a_phone_needs_a_code(owner_api: Client) -> None:
    body = refused(owner_api, {"phone": OTHER_PHONE}, 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "verification_code"]
    assert "验证码" in body["detail"]


def test_another_phone_by_its_code(owner: User, owner_api: Client) -> None:
    code = code_for_phone(owner_api)
    answer = owner_api.put("/users/me", {"phone": OTHER_PHONE, "verification_code": code, "username": "both"})
    assert answer.status_code == 200, answer.json()
    assert (answer.json()["phone"], answer.json()["username"]) == (OTHER_PHONE, "both")
    assert (fresh(owner).phone, fresh(owner).username) == (OTHER_PHONE, "both")


def test_a_username_of_digits_follows_the_phone(owner: User, owner_api: Client) -> None:
    User.objects.filter(pk=owner.pk).update(username=owner.phone)
    body = {"phone": OTHER_PHONE, "verification_code": code_for_phone(owner_api)}
    # As the web client sends it: the whole form, the username as it was.
    answer = owner_api.put("/users/me", {**body, "username": owner.phone})
    assert (answer.json()["phone"], answer.json()["username"]) == (OTHER_PHONE, OTHER_PHONE)


def test_phone_and_username_of_digits_at_once(owner: User, owner_api: Client) -> None:
    body = {"phone": OTHER_PHONE, "verification_code": code_for_phone(owner_api), "username": OTHER_PHONE}
    answer = owner_api.put("/users/me", body)
    assert (answer.json()["phone"], answer.json()["username"]) == (OTHER_PHONE, OTHER_PHONE)


def test_a_wrong_code_changes_nothing_at_all(owner_api: Client) -> None:
    code = code_for_phone(owner_api)
    body = {
        "phone": OTHER_PHONE,
        "verification_code": wrong(code),
        "username": "new_name",
        "email": "a@example.com",
    }
    refused(owner_api, body, 400, "code_invalid")


def test_a_taken_username_costs_no_code(owner_api: Client, stranger: User) -> None:
    code = code_for_phone(owner_api)
    body = {"phone": OTHER_PHONE, "verification_code": code}
    refused(owner_api, {**body, "username": "stranger"}, 409, "username_taken")
    assert owner_api.put("/users/me", body).status_code == 200


@pytest.mark.parametrize(
    "phone", ["", "12345", "notaphone2984", "+8613912345678", "１３９１２３４５６７８", 13912345679.5]
)
def test_a_phone_that_is_none(owner_api: Client, phone: Any) -> None:
    body = refused(owner_api, {"phone": phone, "verification_code": "123456"}, 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "phone"]


def test_the_desktop_client_changes_its_profile(owner: User) -> None:
    api = Client(owner)
    body = {"username": "desk", "email": "", "phone": owner.phone, "avatar": ""}
    answer = api.put("/users/profile", body, headers={"User-Agent": "YuntuClient/1.0.0"})
    assert (answer.status_code, answer.json()["username"]) == (200, "desk")
    assert fresh(owner).phone == owner.phone


def test_the_user_at_hand_may_be_an_old_one(owner: User) -> None:
    """Sessions remember their users for a while; what is compared is the row."""
    User.objects.filter(pk=owner.pk).update(username="renamed")
    owner.username = "owner"
    profile.update_profile(user=owner, new=profile.NewProfile(username="owner"), ip="", site="")
    assert fresh(owner).username == "owner"
