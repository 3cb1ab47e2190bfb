"""Many at once: real threads, real commits."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Notification, PhoneCode, Session, User
from accounts.services import blocking
from accounts.services.sessions import open_session
from accounts.services.tokens import TokenPack, read_refresh
from billing.models import Wallet
from common import limits
from common.errors import RateLimited
from tests.accounts.conftest import PHONE, code_for, codes_sent, registration, wrong
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import race

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_refresh_token_in_sixteen_tabs_rotates_once() -> None:
    make_user(username="mei")
    for _round in range(5):
        pack = Client().post("/auth/login", {"username": "mei", "password": PASSWORD}).json()
        token = pack["refresh_token"]
        answers = race(
            16,
            partial(lambda token, _number: Client().post("/auth/refresh", {"refresh_token": token}), token),
        )
        assert {answer.status_code for answer in answers} == {200}
        [successor] = {answer.json()["refresh_token"] for answer in answers}
        assert len({answer.json()["access_token"] for answer in answers}) == 1
        session = Session.objects.get(pk=read_refresh(token).session_id)
        # One living descendant, and it is the one that everybody has.
        assert session.refresh_jti == read_refresh(successor).jti
        assert session.previous_jti == read_refresh(token).jti
        assert session.revoked_at is None


def test_without_the_grace_one_of_sixteen_succeeds_and_none_stays(settings: Any) -> None:
    """Fifteen of them look like thieves, so the session ends; yet the one that rotated got its answer."""
    settings.REFRESH_GRACE = timedelta(minutes=-1)  # over, for all that begin at once
    user = make_user(username="mei")
    for _round in range(5):
        pack = Client().post("/auth/login", {"username": "mei", "password": PASSWORD}).json()
        form = {"refresh_token": pack["refresh_token"]}
        answers = race(16, partial(lambda form, _number: Client().post("/auth/refresh", form), form))
        outcomes = [answer.json().get("code", "rotated") for answer in answers]
        assert outcomes.count("rotated") == 1
        assert set(outcomes) <= {"rotated", "token_reused", "token_invalid"}
        assert not Session.objects.filter(user=user, revoked_at__isnull=True).exists()
        [rotated] = [answer.json() for answer in answers if answer.status_code == 200]
        for token in (pack["refresh_token"], rotated["refresh_token"]):
            assert Client().post("/auth/refresh", {"refresh_token": token}).status_code == 401
    # Whoever found the token used, the user is told once for each session.
    assert Notification.objects.filter(user=user).count() == 5


def test_refresh_and_log_out_at_once_leave_nothing_alive() -> None:
    make_user(username="mei")
    for _round in range(5):
        pack = Client().post("/auth/login", {"username": "mei", "password": PASSWORD}).json()
        form = {"refresh_token": pack["refresh_token"]}
        answers = race(
            8,
            partial(
                lambda form, number: Client().post("/auth/refresh" if number % 2 else "/auth/logout", form),
                form,
            ),
        )
        assert {answer.status_code for answer in answers[::2]} == {200}
        for answer in answers:
            if "refresh_token" in answer.json():
                successor = {"refresh_token": answer.json()["refresh_token"]}
                assert Client().post("/auth/refresh", successor).status_code == 401


def test_blocking_and_signing_out_at_once_do_not_wait_for_each_other_in_a_circle() -> None:
    user = make_user(username="mei")
    for _round in range(8):
        packs = [open_session(user=user, device="", ip="")[1] for _number in range(7)]

        def act(number: int, packs: list[TokenPack] = packs) -> int:
            if number == 7:
                return blocking.block(User.objects.filter(pk=user.pk))
            form = {"refresh_token": packs[number].refresh_token}
            return int(Client().post("/auth/logout", form).status_code)

        assert race(8, act) == [200] * 7 + [1]
        assert not Session.objects.filter(revoked_at__isnull=True).exists()
        assert blocking.unblock(User.objects.filter(pk=user.pk)) == 1


def test_one_code_registers_one_user() -> None:
    code = code_for(Client())
    answers = race(
        settings.PHONE_CODE_MAX_GUESSES,
        lambda number: Client().post("/auth/register", registration(code, username=f"racer_{number}")),
    )
    outcomes = sorted(answer.json().get("code", "registered") for answer in answers)
    assert outcomes == ["code_invalid"] * 4 + ["registered"]
    assert User.objects.count() == Wallet.objects.count() == 1


def test_one_name_goes_to_one_of_many_who_register_it() -> None:
    phones = [f"1390000000{number}" for number in range(6)]
    codes = [code_for(Client(), phone) for phone in phones]

    def register(number: int) -> tuple[int, str]:
        form = registration(codes[number], phone=phones[number], username="wanted")
        answer = Client().post("/auth/register", form)
        return answer.status_code, answer.json().get("code", "")

    outcomes = race(len(phones), register)
    assert sorted(outcomes) == [(201, "")] + [(409, "username_taken")] * 5
    # The losers' codes are still good.
    loser = outcomes.index((409, "username_taken"))
    form = registration(codes[loser], phone=phones[loser], username="second")
    assert Client().post("/auth/register", form).status_code == 201


def test_guesses_at_once_are_all_counted() -> None:
    code = code_for(Client())
    answers = race(
        16,
        lambda number: Client().post(
            "/auth/register", registration(f"{(int(code) + 1 + number) % 10**6:06d}")
        ),
    )
    assert {answer.json()["code"] for answer in answers} == {"code_invalid"}
    assert PhoneCode.objects.get().guesses == settings.PHONE_CODE_MAX_GUESSES
    assert Client().post("/auth/register", registration(code)).status_code == 400
    assert Client().post("/auth/register", registration(wrong(code))).status_code == 400
    assert not User.objects.exists()


def test_one_code_a_minute_however_many_ask() -> None:
    answers = race(16, lambda number: Client().post("/auth/send-code", {"phone": PHONE}))
    assert sorted(answer.status_code for answer in answers) == [200] + [429] * 15
    assert len(codes_sent()) == 1


def test_a_limit_is_counted_and_compared_in_one_step() -> None:
    def take(number: int) -> int:
        try:
            limits.take(("race", "subject", (10, 60)))
        except RateLimited:
            return 0
        return 1

    assert sum(race(32, take)) == 10


def test_a_ticket_opens_one_socket() -> None:
    from accounts.errors import TokenInvalid
    from accounts.services.sessions import redeem_ticket

    api = Client(make_user())
    ticket = api.post("/auth/ws-ticket").json()["ticket"]

    def redeem(number: int) -> int:
        try:
            redeem_ticket(ticket)
        except TokenInvalid:
            return 0
        return 1

    assert sum(race(8, redeem)) == 1
