"""The second factor of operators: who is asked, what is taken and how often, and from where the office is reached."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import Client
from django.utils import timezone

from accounts.errors import CodeInvalid
from accounts.models import AuditEvent, SecondFactor, User
from accounts.services import second_factor
from common.errors import RateLimited
from tests.accounts.staff import FORM, act, office_of, operator, page
from tests.factories import PASSWORD, make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
DOOR = "/admin/second-factor/"


@pytest.fixture
def boss() -> User:
    return operator("superuser", is_superuser=True)


@pytest.fixture
def factor(boss: User) -> SecondFactor:
    """One that is confirmed, with the code of the half minute before."""
    begun = second_factor.begin(boss)
    SecondFactor.objects.filter(pk=begun.pk).update(confirmed_at=timezone.now(), last_step=step() - 2)
    begun.refresh_from_db()
    return begun


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[timedelta]]:
    """How much later it is; by itself the time stands still, or a half minute might end within a test."""
    later = [timedelta()]
    begun = timezone.now()
    monkeypatch.setattr("accounts.services.second_factor.timezone.now", lambda: begun + later[0])
    yield later


def step() -> int:
    return int(timezone.now().timestamp()) // 30


def code_of(factor: SecondFactor, drift: int = 0) -> str:
    return pyotp.TOTP(second_factor.secret_of(factor)).generate_otp(step() + drift)


# --- Who is asked ---


def test_who_has_none_is_not_asked(boss: User) -> None:
    assert office_of(boss).get("/admin/").status_code == 200


def test_where_it_is_required_everybody_sets_it_up(boss: User, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = True
    office = office_of(boss)
    for path in ("/admin/", page(User, "changelist"), page(User, "export"), "/admin/search/?s=a"):
        answer = office.get(path)
        assert answer.status_code == 302
        assert answer["Location"].startswith(f"{DOOR}?next=")
    assert office.post(page(User, "changelist"), {"action": "block"}).status_code == 302

    shown = office.get(DOOR)
    factor = SecondFactor.objects.get(user=boss)
    assert second_factor.secret_of(factor) in shown.content.decode()
    assert second_factor.secret_of(factor) not in factor.secret
    assert office.post(DOOR, {"code": "000000"}).status_code == 200
    assert office.get("/admin/").status_code == 302

    answer = office.post(DOOR, {"code": code_of(factor)})
    codes = answer.context["codes"]
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert office.get("/admin/").status_code == 200
    factor.refresh_from_db()
    assert not set(codes) & set(factor.recovery_hashes)
    # Told once.
    assert codes[0] not in office.get(DOOR).content.decode()
    assert second_factor.secret_of(factor) not in office.get(DOOR).content.decode()


def test_a_new_sign_in_is_asked_again(boss: User, factor: SecondFactor) -> None:
    office = office_of(boss)
    assert office.get("/admin/")["Location"] == f"{DOOR}?next=%2Fadmin%2F"
    answer = office.post(f"{DOOR}?next=/admin/accounts/user/", {"code": code_of(factor)})
    assert answer["Location"] == "/admin/accounts/user/"
    assert office.get("/admin/").status_code == 200
    assert office_of(boss).get("/admin/").status_code == 302


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_it_leads_nowhere_else(boss: User, factor: SecondFactor, target: str) -> None:
    answer = office_of(boss).post(f"{DOOR}?next={target}", {"code": code_of(factor)})
    assert answer["Location"] == "/admin/"


def test_the_session_is_a_new_one_afterwards(boss: User, factor: SecondFactor) -> None:
    office = office_of(boss)
    before = office.session.session_key
    office.post(DOOR, {"code": code_of(factor)})
    assert office.session.session_key != before


def test_a_factor_that_was_set_up_anew_is_asked_for(boss: User, factor: SecondFactor) -> None:
    office = office_of(boss)
    office.post(DOOR, {"code": code_of(factor)})
    factor.delete()
    begun = second_factor.begin(boss)
    SecondFactor.objects.filter(pk=begun.pk).update(confirmed_at=timezone.now())
    assert office.get("/admin/").status_code == 302


def test_strangers_do_not_come_to_it() -> None:
    for client in (Client(), office_of(make_user())):
        assert client.get(DOOR)["Location"].startswith("/admin/login/")
    assert not SecondFactor.objects.exists()


def test_signing_in_by_password_leads_to_it(boss: User, factor: SecondFactor) -> None:
    client = Client()
    client.post("/admin/login/", {"username": boss.username, "password": PASSWORD})
    assert client.get("/admin/")["Location"].startswith(DOOR)


# --- What is taken ---


def test_a_code_is_taken_once(boss: User, factor: SecondFactor) -> None:
    code = code_of(factor)
    second_factor.verify(user=boss, code=code)
    with pytest.raises(CodeInvalid):
        second_factor.verify(user=boss, code=code)
    with pytest.raises(CodeInvalid):  # nor one from before it
        second_factor.verify(user=boss, code=code_of(factor, -1))


@pytest.mark.parametrize(("drift", "is_taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_clocks_may_differ_a_little(
    boss: User, factor: SecondFactor, clock: list[timedelta], drift: int, is_taken: bool
) -> None:
    SecondFactor.objects.update(last_step=step() - 10)
    try:
        second_factor.verify(user=boss, code=code_of(factor, drift))
    except CodeInvalid:
        assert not is_taken
    else:
        assert is_taken


def test_guessing_ends(boss: User, factor: SecondFactor, clock: list[timedelta]) -> None:
    for _guess in range(5):
        with pytest.raises(CodeInvalid):
            second_factor.verify(user=boss, code="000000")
    with pytest.raises(RateLimited):  # the right one, too
        second_factor.verify(user=boss, code=code_of(factor))
    office = office_of(boss)
    assert office.post(DOOR, {"code": code_of(factor)}).status_code == 200
    assert office.get("/admin/").status_code == 302
    failed = AuditEvent.objects.filter(user=boss, action=AuditEvent.Action.SECOND_FACTOR_FAILED)
    assert failed.count() == 5


def test_a_recovery_code_is_taken_once(boss: User) -> None:
    begun = second_factor.begin(boss)
    codes = second_factor.confirm(user=boss, code=code_of(begun))
    second_factor.verify(user=boss, code=f" {codes[3].upper()} ")
    with pytest.raises(CodeInvalid):
        second_factor.verify(user=boss, code=codes[3])
    second_factor.verify(user=boss, code=codes[4])


@pytest.mark.django_db(transaction=True)
def test_of_three_with_the_same_code_one_comes_in() -> None:
    boss = make_user(username="boss", is_staff=True)
    begun = second_factor.begin(boss)
    codes = second_factor.confirm(user=boss, code=code_of(begun))

    def come_in(_number: int) -> bool:
        try:
            second_factor.verify(user=boss, code=codes[0])
        except CodeInvalid:
            return False
        return True

    assert sorted(race(3, come_in)) == [False, False, True]


def test_a_confirmed_one_is_not_begun_anew(boss: User, factor: SecondFactor) -> None:
    with pytest.raises(CodeInvalid):
        second_factor.begin(boss)


# --- Who loses it ---


def test_it_is_removed_by_who_may_change_operators(boss: User) -> None:
    other = make_user(username="other", is_staff=True)
    begun = second_factor.begin(other)
    second_factor.confirm(user=other, code=code_of(begun))
    link = f"/admin/accounts/user/{other.pk}/remove-second-factor/"
    assert office_of(operator("support")).post(link, FORM).status_code == 403
    assert SecondFactor.objects.exists()
    assert office_of(boss).post(link, FORM).status_code == 200
    assert not SecondFactor.objects.exists()
    event = AuditEvent.objects.get(action=AuditEvent.Action.SECOND_FACTOR_REMOVED)
    assert (event.user, event.actor) == (other, boss)


def test_nobody_removes_their_own(boss: User, factor: SecondFactor) -> None:
    office = office_of(boss)
    office.post(DOOR, {"code": code_of(factor)})
    office.post(f"/admin/accounts/user/{boss.pk}/remove-second-factor/", FORM)
    assert SecondFactor.objects.exists()


def test_no_page_shows_its_secrets(boss: User, factor: SecondFactor) -> None:
    SecondFactor.objects.update(recovery_hashes=["f" * 64])
    office = office_of(boss)
    office.post(DOOR, {"code": code_of(factor)})
    for path in (page(SecondFactor, "changelist"), page(SecondFactor, "change", factor.pk)):
        text = office.get(path).content.decode()
        assert factor.secret not in text
        assert "f" * 64 not in text
    act(office, "block", boss)


# --- From where ---


@pytest.mark.parametrize(
    ("networks", "ip", "code"),
    [
        ([], "203.0.113.9", 200), (["192.0.2.0/24"], "192.0.2.7", 200), (["192.0.2.0/24"], "203.0.113.9", 403),
        (["192.0.2.7"], "192.0.2.7", 200), (["2001:db8::/32"], "2001:db8::1", 200),
        (["2001:db8::/32"], "192.0.2.7", 403),
    ],
)  # fmt: skip
def test_addresses(boss: User, settings: Any, networks: list[str], ip: str, code: int) -> None:
    settings.OFFICE_ADDRESSES = networks
    assert office_of(boss).get("/admin/", REMOTE_ADDR=ip).status_code == code
    if code == 403:
        assert Client().get("/admin/login/", REMOTE_ADDR=ip).status_code == 403
        assert Client().get("/login", REMOTE_ADDR=ip).status_code == 200


def test_a_network_that_is_none_is_told(settings: Any) -> None:
    settings.OFFICE_ADDRESSES = ["192.0.2.0/33"]
    with pytest.raises(SystemCheckError, match=r"yuntu\.E011"):
        call_command("check")
