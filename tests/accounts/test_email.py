"""E-mail addresses: claimed, proved by a mailed link, good for signing in only then."""

import re
from datetime import timedelta
from smtplib import SMTPException
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core import mail, signing
from django.db import DatabaseError
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import AuditEvent, Notification, User
from accounts.services import emails
from tests.conftest import Client
from tests.factories import PASSWORD, make_user
from tests.racing import race

ADDRESS = "Lin@Example.com"
VERIFY = "/users/me/email/verify"


def claim(api: Client, address: str = ADDRESS) -> str:
    """Claim an address; the token of the link that was mailed."""
    answer = api.put("/users/me", {"email": address})
    assert answer.status_code == 200, answer.json()
    return mailed_token()


def mailed_link() -> str:
    [link] = re.findall(r"http\S+", str(mail.outbox[-1].body))
    return str(link)


def mailed_token() -> str:
    return parse_qs(urlsplit(mailed_link()).query)["token"][0]


def signs_in(address: str = ADDRESS) -> bool:
    return Client().post("/auth/login", {"email": address, "password": PASSWORD}).status_code == 200


def is_proved(user: User) -> bool:
    return User.objects.get(pk=user.pk).email_verified_at is not None


def email_events(user: User) -> list[tuple[Any, Any]]:
    found = AuditEvent.objects.filter(user=user, action=AuditEvent.Action.EMAIL_CHANGED)
    return [(event.before, event.after) for event in found.order_by("created_at", "pk")]


# --- The way of an address --------------------------------------------------------------------------------


def test_claimed_mailed_proved(owner: User, owner_api: Client) -> None:
    token = claim(owner_api)
    body = owner_api.get("/users/me").json()
    assert (body["email"], body["email_verified"]) == (ADDRESS, False)
    assert not signs_in()
    [message] = mail.outbox
    assert (message.to, message.from_email) == ([ADDRESS], "yuntu@localhost")
    assert "owner" in str(message.body)
    assert mailed_link().startswith("http://testserver/verify-email?token=")

    answer = owner_api.post(VERIFY, {"token": token})
    assert (answer.status_code, answer.json()["email_verified"]) == (200, True)
    assert signs_in()
    assert signs_in(ADDRESS.lower())
    hidden = "L***@Example.com"
    assert email_events(owner) == [
        ({"email": "", "verified": False}, {"email": hidden, "verified": False}),
        ({"email": hidden, "verified": False}, {"email": hidden, "verified": True}),
    ]


def test_a_link_opened_twice(owner: User, owner_api: Client) -> None:
    token = claim(owner_api)
    assert owner_api.post(VERIFY, {"token": token}).status_code == 200
    proved_at = User.objects.get(pk=owner.pk).email_verified_at
    assert owner_api.post(VERIFY, {"token": token}).status_code == 200
    assert User.objects.get(pk=owner.pk).email_verified_at == proved_at
    assert len(email_events(owner)) == 2


def test_the_mail_speaks_the_language_of_the_request(owner_api: Client) -> None:
    owner_api.put("/users/me", {"email": ADDRESS}, headers={"Accept-Language": "en"})
    assert mail.outbox[-1].subject == "Confirm your e-mail address"
    owner_api.put("/users/me", {"email": "b@example.com"})
    assert mail.outbox[-1].subject == "请确认您的邮箱地址"


def test_the_link_begins_with_the_public_address(owner_api: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://yuntu.example.com/"
    claim(owner_api)
    assert mailed_link().startswith("https://yuntu.example.com/verify-email?token=")


def test_the_same_address_again_stays_proved_and_mails_nothing(owner: User, owner_api: Client) -> None:
    owner_api.post(VERIFY, {"token": claim(owner_api)})
    assert owner_api.put("/users/me", {"email": ADDRESS}).json()["email_verified"] is True
    assert len(mail.outbox) == 1


def test_another_address_is_to_be_proved_anew(owner: User, owner_api: Client) -> None:
    owner_api.post(VERIFY, {"token": claim(owner_api)})
    claim(owner_api, "other@example.com")
    assert not is_proved(owner)
    assert not signs_in()
    assert not signs_in("other@example.com")
    told = Notification.objects.get(user=owner, title="E-mail address changed")
    assert (told.level, told.params) == (Notification.Level.WARNING, {"email": ADDRESS})


def test_taken_away(owner: User, owner_api: Client) -> None:
    owner_api.post(VERIFY, {"token": claim(owner_api)})
    body = owner_api.put("/users/me", {"email": ""}).json()
    assert (body["email"], body["email_verified"]) == (None, False)
    assert not signs_in()
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    "address", ["x", "a@b", "a b@c.de", "a@b.c\nBcc: d@e.fr", "@", "x" * 250 + "@b.cd", 7, []]
)
def test_what_is_no_address(owner: User, owner_api: Client, address: Any) -> None:
    answer = owner_api.put("/users/me", {"email": address})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["body", "email"])
    assert User.objects.get(pk=owner.pk).email is None
    assert mail.outbox == []


# --- Links that prove nothing -----------------------------------------------------------------------------


def refuses(api: Client, user: User, token: str) -> bool:
    before = User.objects.filter(pk=user.pk).values().get()
    answer = api.post(VERIFY, {"token": token})
    assert (answer.status_code, answer.json()["code"]) == (400, "email_link_invalid")
    return User.objects.filter(pk=user.pk).values().get() == before


def test_the_address_was_changed_meanwhile(owner: User, owner_api: Client) -> None:
    old = claim(owner_api)
    new = claim(owner_api, "new@example.com")
    assert refuses(owner_api, owner, old)
    owner_api.put("/users/me", {"email": ""})
    assert refuses(owner_api, owner, new)


def test_somebody_elses_link(owner: User, owner_api: Client, stranger: User, stranger_api: Client) -> None:
    token = claim(owner_api)
    assert refuses(stranger_api, stranger, token)
    assert not is_proved(owner)


def test_an_old_link(owner: User, owner_api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    token = claim(owner_api)
    monkeypatch.setattr(emails, "LINK_LIFE", timedelta(seconds=-1))
    assert refuses(owner_api, owner, token)


@pytest.mark.parametrize("kind", ["nonsense", "forged", "cut", "other salt", "other content", "no user"])
def test_forged_links(owner: User, owner_api: Client, kind: str) -> None:
    good = claim(owner_api)
    token = {
        "nonsense": "x:y:z",
        "forged": good[:-2] + ("AA" if not good.endswith("AA") else "BB"),
        "cut": good.rpartition(":")[0],
        "other salt": signing.dumps([owner.pk.hex, ADDRESS]),
        "other content": signing.dumps({"a": 1}, salt=emails.SALT),
        "no user": signing.dumps(["x", ADDRESS], salt=emails.SALT),
    }[kind]
    assert refuses(owner_api, owner, token)


def test_without_a_token(owner_api: Client, anonymous: Client) -> None:
    assert owner_api.post(VERIFY, {}).status_code == 422
    assert anonymous.post(VERIFY, {"token": "x"}).status_code == 401


# --- Whose address it is ----------------------------------------------------------------------------------


def test_an_address_that_another_has_proved(owner: User, owner_api: Client) -> None:
    make_user(email=ADDRESS, email_verified_at=timezone.now())
    answer = owner_api.put("/users/me", {"email": ADDRESS.upper(), "username": "new_name"})
    assert (answer.status_code, answer.json()["code"]) == (409, "email_taken")
    user = User.objects.get(pk=owner.pk)
    assert (user.email, user.username) == (None, "owner")
    assert mail.outbox == []


def test_a_claim_that_is_not_proved_gives_way(owner: User, owner_api: Client, stranger: User) -> None:
    """Otherwise anybody could keep an address from who has it."""
    squatter = Client(stranger)
    token = claim(squatter)
    claim(owner_api, ADDRESS.lower())
    assert User.objects.get(pk=stranger.pk).email is None
    assert refuses(squatter, stranger, token)
    assert owner_api.post(VERIFY, {"token": mailed_token()}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_two_who_claim_each_others_address_at_once() -> None:
    users = [make_user() for _ in range(2)]

    def ask(number: int) -> int:
        body = {"email": f"u{1 - number}@example.com"}
        return Client(users[number]).put("/users/me", body, REMOTE_ADDR=f"192.0.2.{number}").status_code

    for _round in range(5):
        User.objects.update(email=None)
        for number, user in enumerate(users):
            User.objects.filter(pk=user.pk).update(email=f"u{number}@example.com")
        assert set(race(2, ask)) <= {200, 409}


@pytest.mark.django_db(transaction=True)
def test_many_claim_one_address_and_at_most_one_holds_it() -> None:
    users = [make_user() for _ in range(6)]

    def ask(number: int) -> int:
        api = Client(users[number])
        return api.put("/users/me", {"email": ADDRESS}, REMOTE_ADDR=f"192.0.2.{number}").status_code

    answers = race(6, ask)
    assert set(answers) <= {200, 409}
    assert User.objects.filter(email__iexact=ADDRESS).count() == 1


# --- Mail -------------------------------------------------------------------------------------------------


def test_the_link_once_more(owner_api: Client) -> None:
    claim(owner_api)
    assert owner_api.post("/users/me/email/send-link").json() == {"success": True}
    assert len(mail.outbox) == 2
    assert owner_api.post(VERIFY, {"token": mailed_token()}).status_code == 200
    # There is nothing to prove any more.
    assert owner_api.post("/users/me/email/send-link").json() == {"success": True}
    assert len(mail.outbox) == 2


def test_nobodys_mailbox_is_filled_through_us(owner: User, owner_api: Client) -> None:
    answers = [owner_api.put("/users/me", {"email": f"a{number}@example.com"}) for number in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert int(answers[5]["Retry-After"]) > 60
    assert owner_api.post("/users/me/email/send-link").status_code == 429
    assert len(mail.outbox) == 5
    assert User.objects.get(pk=owner.pk).email == "a4@example.com"


def test_many_users_at_one_address_share_its_limit(
    owner_api: Client, stranger_api: Client, settings: Any
) -> None:
    settings.EMAIL_LIMITS = {"user": (5, 3600), "ip": (1, 3600)}
    assert owner_api.put("/users/me", {"email": ADDRESS}).status_code == 200
    assert stranger_api.put("/users/me", {"email": "b@example.com"}).status_code == 429
    elsewhere = stranger_api.put("/users/me", {"email": "b@example.com"}, REMOTE_ADDR="192.0.2.1")
    assert elsewhere.status_code == 200
    assert len(mail.outbox) == 2


@pytest.mark.parametrize("error", [SMTPException("refused"), OSError("no route")])
def test_a_mail_server_that_is_away(
    owner: User, owner_api: Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_args: Any, **_options: Any) -> int:
        raise error

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    assert owner_api.put("/users/me", {"email": ADDRESS}).status_code == 200
    assert User.objects.get(pk=owner.pk).email == ADDRESS
    answer = owner_api.post("/users/me/email/send-link")
    assert (answer.status_code, answer.json()["code"]) == (502, "mail_failed")


def test_without_redis_nothing_is_mailed(owner: User, owner_api: Client, redis_away: None) -> None:
    assert owner_api.put("/users/me", {"email": ADDRESS}).status_code == 503
    assert mail.outbox == []
    assert User.objects.get(pk=owner.pk).email is None


# --- The page ---------------------------------------------------------------------------------------------


def test_the_page_asks_before_it_confirms(owner: User, owner_api: Client) -> None:
    claim(owner_api)
    browser, link = Browser(), mailed_link().removeprefix("http://testserver")
    page = browser.get(link)
    assert page.status_code == 200
    assert ADDRESS in page.content.decode()
    assert "owner" in page.content.decode()
    assert not is_proved(owner)  # programs that look into mail open links, too
    assert browser.post(link).status_code == 200
    assert is_proved(owner)
    assert signs_in()
    assert browser.get(link).status_code == 200


def test_the_page_of_a_link_that_proves_nothing(owner: User, owner_api: Client) -> None:
    claim(owner_api)
    link = mailed_link().removeprefix("http://testserver")
    owner_api.put("/users/me", {"email": "new@example.com"})
    for ask in (Browser().get, Browser().post):
        for address in (
            link,
            "/verify-email",
            "/verify-email?token=%00",
            "/verify-email?token=" + "x" * 5000,
        ):
            page = ask(address)
            assert page.status_code == 400
            assert "链接无效" in page.content.decode()
    assert not is_proved(owner)


def test_the_page_is_not_posted_to_from_elsewhere(owner: User, owner_api: Client) -> None:
    claim(owner_api)
    link = mailed_link().removeprefix("http://testserver")
    assert Browser(enforce_csrf_checks=True).post(link).status_code == 403
    assert not is_proved(owner)


def test_a_blocked_users_link(owner: User, owner_api: Client) -> None:
    claim(owner_api)
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert Browser().post(mailed_link().removeprefix("http://testserver")).status_code == 400
    assert not is_proved(owner)


def test_the_database_keeps_addresses_of_deleted_users_away(owner: User) -> None:
    with pytest.raises(DatabaseError, match="accounts_user_deleted_is_nobody"):
        User.objects.filter(pk=owner.pk).update(
            deleted_at=timezone.now(), is_active=False, phone=None, email=ADDRESS
        )
