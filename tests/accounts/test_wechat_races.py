"""WeChat, many at once: real threads, real commits."""

from functools import partial
from typing import Any

import pytest
from django.conf import settings as live
from django.db.models import Count

from accounts.models import Session, SocialAccount, User, WechatLoginSession
from accounts.services.tokens import read_access
from tests.accounts.conftest import PHONE
from tests.accounts.wechat import bind_new, code_of, phone_code, poll, scan, scanned, start
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import race

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("wechat")]
ROUNDS = 3


def test_sixteen_polls_get_one_pair_of_tokens() -> None:
    bind_new(Client(), "lin", PHONE)
    for _round in range(ROUNDS):
        Session.objects.all().delete()
        login = start(Client())
        scan(Client(), login)
        answers = race(16, partial(lambda login, _number: poll(Client(), login), login))
        assert sorted(answer["status"] for answer in answers) == ["confirmed"] + ["expired"] * 15
        [pack] = [answer for answer in answers if "access_token" in answer]
        assert Session.objects.get().pk == read_access(pack["access_token"]).session_id


def test_one_state_is_used_once() -> None:
    for _round in range(ROUNDS):
        login = start(Client())
        codes = [code_of("lin", login["qr_code_url"]) for _code in range(6)]

        def call_back(login: dict[str, Any], codes: list[str], number: int) -> Any:
            return Client().post("/wechat/callback", {"code": codes[number], "state": login["state"]})

        answers = race(6, partial(call_back, login, codes))
        outcomes = sorted(answer.json().get("code", "scanned") for answer in answers)
        assert outcomes == ["scanned"] + ["wechat_state_invalid"] * 5


def test_one_sign_in_binds_one_phone() -> None:
    phones = [f"1391234560{number}" for number in range(4)]
    codes = [phone_code(phone) for phone in phones]
    _login, token = scanned(Client())

    def bind(number: int) -> Any:
        form = {"session_token": token, "phone": phones[number], "verification_code": codes[number]}
        return Client().post("/wechat/bind-phone", form)

    outcomes = sorted(answer.json().get("code", "bound") for answer in race(4, bind))
    assert outcomes[0] == "bound"
    # Who waited for the first finds the person known; who came later, the sign-in over.
    assert set(outcomes[1:]) <= {"wechat_taken", "wechat_session_invalid"}
    assert User.objects.count() == SocialAccount.objects.count() == Session.objects.count() == 1


def test_one_sign_in_links_once() -> None:
    user = make_user()
    for _round in range(ROUNDS):
        Session.objects.all().delete()
        SocialAccount.objects.all().delete()
        form = {"session_token": scanned(Client())[1], "phone": user.phone, "password": PASSWORD}
        answers = race(4, partial(lambda form, _number: Client().post("/wechat/link-account", form), form))
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 3
        assert Session.objects.count() == 1


def test_one_person_with_two_sign_ins_becomes_one_user() -> None:
    """Also across the two applications, where no unique openid says that it is the same person."""
    for number in range(ROUNDS):
        User.objects.all().update(phone=None)
        SocialAccount.objects.all().delete()
        users = User.objects.count()
        logins = [start(Client()) for _login in range(2)]
        WechatLoginSession.objects.update(appid=live.WECHAT_MP_APP_ID)
        tokens = []
        for login, appid in zip(logins, (live.WECHAT_MP_APP_ID, live.WECHAT_APP_ID), strict=True):
            assert scan(Client(), login).status_code == 200
            tokens.append(poll(Client(), login)["session_token"])
            # As if scanned with the other application: another openid, the same unionid.
            row = WechatLoginSession.objects.exclude(openid="").order_by("-created_at")
            if appid != live.WECHAT_MP_APP_ID:
                row.filter(pk=row.values("pk")[:1]).update(appid=appid, openid="o-of-the-website")
        phones = [f"1390000{number}{place}00" for place in range(2)]
        codes = [phone_code(phone) for phone in phones]

        def bind(tokens: list[str], phones: list[str], codes: list[str], place: int) -> Any:
            form = {
                "session_token": tokens[place], "phone": phones[place], "verification_code": codes[place],
            }  # fmt: skip
            return Client().post("/wechat/bind-phone", form)

        answers = race(2, partial(bind, tokens, phones, codes))
        assert sorted(answer.status_code for answer in answers) == [201, 409]
        assert User.objects.count() == users + 1
        assert SocialAccount.objects.values("unionid").aggregate(n=Count("user", distinct=True))["n"] == 1


def test_one_wechat_is_bound_by_one_of_two_users() -> None:
    users = [make_user() for _user in range(2)]
    for _round in range(ROUNDS):
        SocialAccount.objects.all().delete()
        logins = [start(Client()) for _user in users]
        codes = [code_of("lin", login["qr_code_url"]) for login in logins]

        def bind(logins: list[dict[str, Any]], codes: list[str], number: int) -> Any:
            form = {"code": codes[number], "state": logins[number]["state"]}
            return Client(users[number]).post("/wechat/bind", form)

        answers = race(2, partial(bind, logins, codes))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert SocialAccount.objects.count() == 1


def test_one_user_binds_one_of_two_wechats() -> None:
    user = make_user()
    for _round in range(ROUNDS):
        SocialAccount.objects.all().delete()
        tokens = [scanned(Client(), name)[1] for name in ("lin", "zhou")]
        # Of two applications, so that no constraint stands in the way of either.
        last = WechatLoginSession.objects.order_by("-created_at").values("pk")[:1]
        WechatLoginSession.objects.filter(pk__in=last).update(appid=live.WECHAT_APP_ID)

        def link(tokens: list[str], number: int) -> Any:
            form = {"session_token": tokens[number], "phone": user.phone, "password": PASSWORD}
            return Client().post("/wechat/link-account", form)

        answers = race(2, partial(link, tokens))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        assert SocialAccount.objects.get().user == user
