"""Idempotency-Key at the doors that move money: sent again, a request is answered as before and does nothing more."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.utils import timezone

from accounts.models import User
from billing.models import Hold, IdempotentRequest
from billing.services import idempotency
from billing.services.ledger import wallet_of
from rendering.models import RenderJob
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race
from tests.rendering.conftest import node, price
from tests.rendering.makers import draft, money

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("node")]
__all__ = ["node", "price"]  # fixtures
NAME = {"task_name": "a", "scene_file": "/scenes/lantern.blend", "frames": "1-3"}


def sent(client: Client, path: str, body: Any = None, key: str = "k-1") -> Any:
    return client.post(path, body, headers={"Idempotency-Key": key})


def test_a_task_is_created_once_for_a_key(owner_api: Client, owner: User) -> None:
    draft(owner)
    before = RenderJob.objects.count()
    first = sent(owner_api, "/tasks", {**NAME, "task_name": "once"})
    again = sent(owner_api, "/tasks", {**NAME, "task_name": "once"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert (again["Idempotency-Replayed"], "Idempotency-Replayed" in first) == ("true", False)
    assert RenderJob.objects.count() == before + 1


def test_a_key_with_another_request_is_refused(owner_api: Client, owner: User) -> None:
    draft(owner)
    assert sent(owner_api, "/tasks", NAME).status_code == 201
    count = RenderJob.objects.count()
    other = sent(owner_api, "/tasks", {**NAME, "task_name": "b"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    elsewhere = sent(owner_api, f"/tasks/{draft(owner).pk}/submit")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "idempotency_conflict")
    assert RenderJob.objects.count() == count + 1


def test_a_key_is_its_users(owner_api: Client, owner: User) -> None:
    assert sent(owner_api, f"/tasks/{draft(owner).pk}/submit").status_code == 202
    other = make_user(money="100")
    assert sent(Client(other), f"/tasks/{draft(other).pk}/submit").status_code == 202


def test_what_was_refused_leaves_its_key_free() -> None:
    poor = make_user(money="0")
    wallet = wallet_of(poor)
    job = draft(poor, frames="1-1000")
    refused = sent(Client(poor), f"/tasks/{job.pk}/submit")
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    assert IdempotentRequest.objects.count() == 0
    RenderJob.objects.filter(pk=job.pk).update(frame_range="1-2")
    assert sent(Client(poor), f"/tasks/{job.pk}/submit").status_code == 202
    assert Hold.objects.filter(wallet=wallet).count() == 1


@pytest.mark.parametrize("key", ["", " ", "k" * 101, "钱", "a b"])
def test_a_key_is_visible_ascii(owner_api: Client, owner: User, key: str) -> None:
    answer = sent(owner_api, "/tasks", NAME, key=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert answer.json()["errors"][0]["loc"] == ["header", "Idempotency-Key"]
    assert RenderJob.objects.count() == 0


def test_who_died_over_a_request_does_not_block_it(owner: User) -> None:
    first = idempotency.claim(user=owner, key="k", fingerprint="f")
    with pytest.raises(idempotency.RequestUnderWay):
        idempotency.claim(user=owner, key="k", fingerprint="f")
    IdempotentRequest.objects.update(started_at=timezone.now() - timedelta(seconds=61))
    assert idempotency.claim(user=owner, key="k", fingerprint="f").pk == first.pk
    with pytest.raises(idempotency.RequestUnderWay):
        idempotency.claim(user=owner, key="k", fingerprint="f")


def test_old_requests_are_forgotten(owner: User) -> None:
    idempotency.claim(user=owner, key="old", fingerprint="f")
    IdempotentRequest.objects.update(started_at=timezone.now() - timedelta(days=31))
    idempotency.claim(user=owner, key="new", fingerprint="f")
    assert idempotency.forget(now=timezone.now()) == 1
    assert [row.key for row in IdempotentRequest.objects.all()] == ["new"]


@pytest.mark.django_db(transaction=True)
def test_a_request_sent_by_eight_at_once_is_carried_out_once() -> None:
    user = make_user(money="100")
    job = draft(user)
    before = money(user)
    answers = race(8, lambda number: sent(Client(user), f"/tasks/{job.pk}/submit"))
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) <= {202, 409}
    assert 202 in codes
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"request_under_way"}
    assert Hold.objects.count() == 1
    assert money(user)[0] == before[0]


def test_every_door_that_moves_money_takes_a_key(anonymous: Client) -> None:
    paths = yaml.safe_load(anonymous.get("/api/schema").content)["paths"]
    with_key = {
        path.removeprefix("/api/v1")
        for path, doors in paths.items()
        if any(each["name"] == "Idempotency-Key" for each in doors.get("post", {}).get("parameters", ()))
    }
    assert with_key == {
        "/billing/invoices", "/billing/invoices/{id}/cancel", "/billing/membership", "/billing/recharges",
        "/billing/vouchers/redeem", "/tasks", "/tasks/{id}/approve", "/tasks/{id}/clone", "/tasks/{id}/frames",
        "/tasks/{id}/retry", "/tasks/{id}/submit", "/user/recharge", "/user/upgrade", "/users/recharge",
    }  # fmt: skip
