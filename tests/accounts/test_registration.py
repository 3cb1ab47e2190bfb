"""POST /auth/register."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEvent, PhoneCode, Session, User
from billing.models import LedgerEntry, Wallet
from drives.models import Drive
from tests.accounts.conftest import PHONE, code_for, codes_sent, registration, rewind, wrong
from tests.conftest import Client
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db


def test_register(anonymous: Client) -> None:
    answer = anonymous.post("/auth/register", registration(code_for(anonymous)))
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"access_token", "refresh_token", "token_type", "expires_in", "user"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 1800)
    user = User.objects.get()
    assert body["user"] == {
        "id": str(user.pk),
        "username": "lin_artist",
        "phone": PHONE,
        "email": None,
        "avatar": "",
        "balance": 50,
        "member_level": 0,
        "is_active": True,
        "created_at": user.created_at.isoformat().replace("+00:00", "Z"),
        "updated_at": body["user"]["updated_at"],
        "last_login_at": body["user"]["last_login_at"],
        "wechat_openid": "",
        "wechat_nickname": "",
        "wechat_avatar": "",
        "wechat_bound_at": None,
    }
    assert body["user"]["last_login_at"].endswith("Z")
    assert user.check_password(PASSWORD)
    assert Wallet.objects.get().balance == Decimal(50)
    assert LedgerEntry.objects.get().kind == LedgerEntry.Kind.GRANT
    assert Drive.objects.get().user == user
    me = anonymous.get("/users/me", headers={"Authorization": f"Bearer {body['access_token']}"})
    assert me.json()["username"] == "lin_artist"


def test_registering_stands_in_the_audit_log(anonymous: Client) -> None:
    anonymous.post("/auth/register", registration(code_for(anonymous)), headers={"User-Agent": "Maya/2025"})
    user = User.objects.get()
    seen = AuditEvent.objects.order_by("created_at", "pk").values_list(
        "action", "user", "actor", "ip", "device"
    )
    who = (user.pk, user.pk, "127.0.0.1", "Maya/2025")
    assert list(seen) == [("registered", *who), ("login", *who)]


def test_register_as_the_web_client_does_with_the_phone_for_a_username(anonymous: Client) -> None:
    form = registration(code_for(anonymous), username=PHONE)
    assert anonymous.post("/auth/register", form).status_code == 201


def refused(api: Client, form: dict[str, Any], status: int, code: str) -> dict[str, Any]:
    """The body of a refusal, after which there is nobody new."""
    before = User.objects.count()
    answer = api.post("/auth/register", form)
    assert answer.status_code == status, answer.json()
    assert answer.json()["code"] == code
    assert User.objects.count() == before
    body: dict[str, Any] = answer.json()
    return body


def test_wrong_code(anonymous: Client) -> None:
    code = code_for(anonymous)
    body = refused(anonymous, registration(wrong(code)), 400, "code_invalid")
    assert "验证码" in body["detail"]
    assert anonymous.post("/auth/register", registration(code)).status_code == 201


def test_a_code_belongs_to_its_phone_and_purpose(anonymous: Client) -> None:
    code = code_for(anonymous)
    refused(anonymous, registration(code, phone="13912345679"), 400, "code_invalid")
    anonymous.post("/auth/send-code", {"phone": "13912345679", "purpose": "reset_password"})
    other = codes_sent("13912345679")[-1]
    refused(anonymous, registration(other, phone="13912345679"), 400, "code_invalid")


def test_expired_code(anonymous: Client) -> None:
    code = code_for(anonymous)
    PhoneCode.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    refused(anonymous, registration(code), 400, "code_invalid")


def test_used_code(anonymous: Client) -> None:
    code = code_for(anonymous)
    assert anonymous.post("/auth/register", registration(code)).status_code == 201
    User.objects.update(phone="13700000000")
    refused(anonymous, registration(code, username="other"), 400, "code_invalid")


def test_a_new_code_voids_the_old_one(anonymous: Client) -> None:
    old = code_for(anonymous)
    rewind("sms-phone-minute")
    new = code_for(anonymous)
    if old != new:
        refused(anonymous, registration(old), 400, "code_invalid")
    assert anonymous.post("/auth/register", registration(new)).status_code == 201


def test_guessed_out_code(anonymous: Client) -> None:
    code = code_for(anonymous)
    for _guess in range(settings.PHONE_CODE_MAX_GUESSES):
        refused(anonymous, registration(wrong(code)), 400, "code_invalid")
    refused(anonymous, registration(code), 400, "code_invalid")


def test_who_is_registered_is_told_only_to_the_owner_of_the_phone(anonymous: Client) -> None:
    taken = make_user(username="taken")
    code = code_for(anonymous)
    refused(anonymous, registration(wrong(code), username="taken"), 400, "code_invalid")
    body = refused(anonymous, registration(code, username="taken"), 409, "username_taken")
    assert "用户名" in body["detail"]
    # The code is still good for another name.
    assert anonymous.post("/auth/register", registration(code, username="free")).status_code == 201
    again = code_for(anonymous, taken.phone or "")
    body = refused(anonymous, registration(again, phone=taken.phone), 409, "phone_taken")
    assert "手机号" in body["detail"]


@pytest.mark.parametrize("username", ["13800000001", "123", "1" * 50])
def test_a_username_of_digits_is_the_users_own_phone(anonymous: Client, username: str) -> None:
    code = code_for(anonymous)
    body = refused(anonymous, registration(code, username=username), 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "username"]
    assert "用户名" in body["detail"]


def test_the_database_holds_it_too() -> None:
    user = make_user()
    with pytest.raises(IntegrityError, match="accounts_user_digits_are_own_phone"), transaction.atomic():
        User.objects.filter(pk=user.pk).update(username="13999999999")  # nobody's phone


@pytest.mark.parametrize(
    "username", ["", "ab", "a" * 51, "a b", "名字名字", "a-b-c", "admin\u0000", "ａｂｃ"]
)
def test_usernames(anonymous: Client, username: str) -> None:
    body = refused(anonymous, registration("123456", username=username), 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "username"]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", None])
def test_what_is_no_code(anonymous: Client, code: str) -> None:
    body = refused(anonymous, registration(code), 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "verification_code"]


@pytest.mark.parametrize("password", ["Sh0rt!x", "password123", "8374650192", "lin_artist", "x" * 129])
def test_weak_passwords(anonymous: Client, password: str) -> None:
    code = code_for(anonymous)
    body = refused(anonymous, registration(code, password=password), 422, "validation_error")
    assert body["errors"][0]["loc"] == ["body", "password"]
    assert password not in str(body)
    # Correcting a password costs no guess at the code.
    assert PhoneCode.objects.get().guesses == 0


def test_a_weak_password_is_told_in_words_the_web_client_looks_for(anonymous: Client) -> None:
    for password in ("x1y2", "password1", "82736455182"):
        form = registration(code_for(anonymous), password=password)
        body = refused(anonymous, form, 422, "validation_error")
        assert "密码" in body["errors"][0]["msg"]
        rewind("sms-phone-minute")


def test_texts_are_chinese_unless_english_is_asked_for(anonymous: Client) -> None:
    chinese = anonymous.post("/auth/register", registration("123456"))
    assert chinese.json()["detail"] == "验证码无效或已过期。"
    english = anonymous.post("/auth/register", registration("123456"), headers={"Accept-Language": "en"})
    assert english.json()["detail"] == "The verification code is wrong or has expired."
    assert english.json()["code"] == chinese.json()["code"]


def test_nothing_is_left_of_a_registration_that_fails_half_way(
    anonymous: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("disk on fire")

    code = code_for(anonymous)
    monkeypatch.setattr("drives.receivers.default_drive", fail)
    anonymous.raise_request_exception = False
    assert anonymous.post("/auth/register", registration(code)).status_code == 500
    assert not User.objects.exists() and not Wallet.objects.exists() and not Session.objects.exists()
    monkeypatch.undo()
    assert anonymous.post("/auth/register", registration(code)).status_code == 201


@pytest.fixture
def var(settings: Any, tmp_path: Any) -> Any:
    settings.YUNTU_VAR = tmp_path
    settings.DEBUG = True  # the test runner turns it off
    return tmp_path


def test_ensure_operator(var: Any, client: Any) -> None:
    call_command("ensure_operator")
    secret = var / "admin-password"
    assert secret.stat().st_mode & 0o777 == 0o600
    admin = User.objects.get()
    assert (admin.username, admin.is_staff, admin.is_superuser) == ("admin", True, True)
    assert client.login(username="admin", password=secret.read_text().strip())
    assert Wallet.objects.filter(user=admin).exists() and Drive.objects.filter(user=admin).exists()
    # Once: the password of a living operator is not changed.
    call_command("ensure_operator")
    assert User.objects.count() == 1
    assert client.login(username="admin", password=secret.read_text().strip())


def test_createsuperuser_makes_a_whole_user(var: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--noinput", username="root_operator")
    admin = User.objects.get()
    assert (admin.is_staff, admin.is_superuser, admin.check_password(PASSWORD)) == (True, True, True)
    assert (admin.wallets.count(), admin.drives.count()) == (1, 1)


def test_ensure_operator_leaves_nobody_whose_password_was_not_written(var: Any, settings: Any) -> None:
    settings.YUNTU_VAR = var / "missing"
    with pytest.raises(FileNotFoundError):
        call_command("ensure_operator")
    assert not User.objects.exists()


def test_ensure_operator_is_for_the_embedded_profile(var: Any, settings: Any) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="createsuperuser"):
        call_command("ensure_operator")
    assert not User.objects.exists()


def test_a_right_code_is_not_used_up_by_names_that_are_taken(anonymous: Client) -> None:
    make_user(username="taken_name")
    code = code_for(anonymous)
    for _time in range(settings.PHONE_CODE_MAX_GUESSES + 1):
        answer = anonymous.post("/auth/register", registration(code, username="taken_name"))
        assert (answer.status_code, answer.json()["code"]) == (409, "username_taken")

    assert anonymous.post("/auth/register", registration(code, username="free_name")).status_code == 201
