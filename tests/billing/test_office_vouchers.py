"""Vouchers in the back office: one operator asks, another one approves, the codes come as a file, once."""

import csv
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.permissions import StaffGroup
from billing.errors import SamePerson
from billing.models import LedgerEntry, Redemption, Voucher, VoucherBatch
from billing.services.approvals import reject
from billing.services.voucher_batches import MOST_CODES, approve_batch, issue_codes
from billing.services.vouchers import redeem
from common.errors import TransitionNotAllowed
from tests.accounts.staff import FORM, office_of, operator, page
from tests.billing.issuing import approved, asked, issued, person
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
every_group = pytest.mark.parametrize("group", list(StaffGroup))
ADD = {
    "name": "秋季拉新", "currency": "CNY", "amount": "20.00", "gift_days": "90", "count": "3", "per_user_limit": "1",
    "valid_from_0": "2026-11-01", "valid_from_1": "00:00", "valid_until_0": "2099-12-31", "valid_until_1": "23:59",
    "reason": "campaign 11",
}  # fmt: skip


def add(office: Client, **form: str) -> Any:
    return office.post(page(VoucherBatch, "add"), {**ADD, **form})


def button(batch: VoucherBatch, name: str) -> str:
    return f"/admin/billing/voucherbatch/{batch.pk}/{name}/"


def do(office: Client, batch: VoucherBatch, deed: str, **form: str) -> int:
    code = office.post(button(batch, deed), {**FORM, **form}).status_code
    batch.refresh_from_db()
    return code


def issue(office: Client, batch: VoucherBatch, **form: str) -> Any:
    answer = office.post(button(batch, "issue-codes"), form)
    batch.refresh_from_db()
    return answer


def rows_of(answer: Any) -> list[list[str]]:
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def second(of: User) -> Client:
    """Another operator of the same groups."""
    other = make_user(username="second", is_staff=True)
    other.groups.set(of.groups.all())
    return office_of(other)


@every_group
def test_two_of_finance_make_codes_that_are_redeemed(group: str) -> None:
    boss = operator(group)
    office, allowed = office_of(boss), group in ("finance", "superuser")
    assert add(office).status_code == (302 if allowed else 403)
    if not allowed:
        batch = asked()
        for deed in ("approve", "reject", "withdraw", "revoke"):
            assert do(office, batch, deed) == 403
        assert issue(office, approved()).status_code == 403
        assert batch.status == "pending"
        assert not Voucher.objects.exists()
        return

    batch = VoucherBatch.objects.get()
    assert (batch.maker, batch.status, batch.amount, batch.count) == (boss, "pending", 20, 3)
    assert issue(office, batch).status_code == 302  # not approved yet: told why not
    assert do(office, batch, "approve") == 200  # one's own: told why not
    assert batch.status == "pending"
    assert "申请人不能复核自己的申请。" in office.get(page(VoucherBatch, "change", batch.pk)).content.decode()
    assert do(second(boss), batch, "approve") == 200
    assert (batch.status, batch.decision) == ("approved", "ticket 4711")
    assert batch.checker is not None

    assert "仅此一次" in office.get(button(batch, "issue-codes")).content.decode()
    assert not Voucher.objects.exists()
    answer = issue(office, batch)
    assert answer["Content-Disposition"].startswith("attachment")
    header, *rows = rows_of(answer)
    assert header == ["兑换码", "名称", "金额", "币种", "可兑换自", "可兑换至"]
    assert [row[1:] for row in rows] == 3 * [
        ["秋季拉新", "20.00", "元", "2026-11-01 00:00:00", "2099-12-31 23:59:00"]
    ]
    assert batch.status == "issued"
    assert issue(office, batch).status_code == 302
    assert Voucher.objects.count() == 3
    given = redeem(user=make_user(), code=rows[0][0], ip="", now=timezone.now())
    assert given.gift.amount == 20

    told = AuditEvent.objects.filter(target_id=str(batch.pk)).order_by("pk")
    assert [event.after.get("action", "added") for event in told] == [
        "added", "approve", "approve", "issue_codes",
    ]  # fmt: skip
    assert all(row[0] not in str(list(told.values())) for row in rows)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"amount": "0"}, "amount"), ({"amount": "-1"}, "amount"), ({"amount": "0.001"}, "amount"),
        ({"amount": "NaN"}, "amount"), ({"amount": "5000000.01"}, "amount"), ({"amount": ""}, "amount"),
        ({"count": "0"}, "count"), ({"count": str(MOST_CODES + 1)}, "count"), ({"count": "many"}, "count"),
        ({"count": "1000001", "is_shared": "on", "amount": "0.01"}, "count"),
        ({"gift_days": "0"}, None), ({"gift_days": "-1"}, "gift_days"), ({"per_user_limit": "0"}, None),
        ({"valid_until_0": "2026-10-31"}, "valid_until"), ({"valid_until_0": "2026-11-02"}, "valid_until"),
        ({"valid_until_0": ""}, "valid_until"), ({"reason": " "}, "reason"), ({"name": ""}, "name"),
        ({"currency": "USD"}, "currency"),
    ],
)  # fmt: skip
def test_batches_that_cannot_be(form: dict[str, str], field: str | None) -> None:
    answer = add(office_of(operator("finance")), **form)
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert set(errors) == {field or "__all__"}
    assert not VoucherBatch.objects.exists()


def test_a_form_sent_twice_asks_once() -> None:
    office = office_of(operator("finance"))
    assert [add(office).status_code for _twice in range(2)] == [302, 200]
    assert VoucherBatch.objects.count() == 1


def test_rejected_withdrawn_and_revoked_batches() -> None:
    maker, checker = operator("finance"), operator("superuser")
    rejected, withdrawn, revoked = (asked(count=2) for _three in range(3))
    assert do(office_of(checker), rejected, "reject") == 200
    assert do(office_of(maker), withdrawn, "withdraw") == 200  # not whose it is
    assert withdrawn.status == "pending"
    owner = person("voucher_maker")
    owner.groups.set(maker.groups.all())
    assert do(office_of(owner), withdrawn, "withdraw") == 200
    approve_batch(batch=revoked, checker=checker, decision="d")
    assert do(office_of(maker), revoked, "revoke", reason="") == 200  # asks for the reason
    assert revoked.status == "approved"
    assert do(office_of(maker), revoked, "revoke", reason="leaked") == 200
    assert (revoked.revoked_by, revoked.revocation) == (maker, "leaked")
    assert revoked.ended_at is not None
    for batch, status in ((rejected, "rejected"), (withdrawn, "withdrawn"), (revoked, "revoked")):
        for deed in ("approve", "reject", "revoke"):
            assert do(office_of(checker), batch, deed) == 200
        assert issue(office_of(maker), batch).status_code == 302
        assert batch.status == status
    assert not Voucher.objects.exists()


def test_who_asked_cannot_be_who_decides() -> None:
    batch = asked()
    maker = person("voucher_maker")
    with pytest.raises(SamePerson):
        approve_batch(batch=batch, checker=maker, decision="d")
    with pytest.raises(SamePerson):
        reject(request=batch, checker=maker, decision="d")
    batch.refresh_from_db()
    assert batch.status == "pending"


@pytest.mark.parametrize(
    ("code", "is_taken"),
    [("SPRING2026", True), ("short", False), ("x" * 33, False), ("盛世云图盛世", False), ("spring+2026", False),
     ("five5!", False), ("SPR1NG-2O26", False)],
)  # fmt: skip
def test_a_word_for_all(code: str, is_taken: bool) -> None:
    office = office_of(operator("finance"))
    batch = approved(is_shared=True, count=100)
    if code.startswith("SPR1NG"):  # the same to who reads it
        issued(is_shared=True, chosen="SPRING2026")
    answer = issue(office, batch, code=code)
    if not is_taken:
        assert answer.context["form"].errors["code"]
        assert batch.status == "approved"
        return
    _header, [word, *_facts] = rows_of(answer)
    assert word == code
    voucher = batch.vouchers.get()
    assert (voucher.max_uses, voucher.suffix) == (100, "2026")


def test_without_a_word_one_is_made() -> None:
    batch = approved(is_shared=True, count=100)
    _header, [word, *_facts] = rows_of(issue(office_of(operator("finance")), batch, code=""))
    assert len(word) == 19
    assert redeem(user=make_user(), code=word, ip="", now=timezone.now())


@pytest.mark.django_db(transaction=True)
def test_codes_are_made_once_by_whoever_is_first() -> None:
    batch = approved(count=50)

    def act(_number: int) -> object:
        try:
            return issue_codes(batch=VoucherBatch.objects.get(pk=batch.pk))
        except TransitionNotAllowed as error:
            return error

    found = race(6, act)
    assert sum(isinstance(each, list) for each in found) == 1
    assert batch.vouchers.count() == 50


def test_lists_show_no_code_and_take_few_queries() -> None:
    office, codes = office_of(operator("auditor")), []
    for _batch in range(3):
        batch, made = issued(count=3, per_user_limit=3)
        codes += made
        for code in made[:2]:
            redeem(user=make_user(), code=code, ip="", now=timezone.now())
    pages = [page(model, "changelist") for model in (VoucherBatch, Voucher, Redemption)]
    pages += [page(VoucherBatch, "change", batch.pk), page(Voucher, "change", batch.vouchers.latest("pk").pk)]
    for address in pages:
        with CaptureQueriesContext(connection) as few:
            text = office.get(address).content.decode()
        assert not any(code in text or code.replace("-", "") in text for code in codes)
        assert not any(row in text for row in Voucher.objects.values_list("code_hash", flat=True))
        assert len(few) <= 14, address
    assert "2 / 3" in office.get(pages[0]).content.decode()
    assert [row.batch for row in office.get(pages[1], {"q": batch.name}).context["cl"].result_list] == 3 * [
        batch
    ]


def test_a_window_that_has_passed_is_not_approved() -> None:
    now = timezone.now()
    batch = VoucherBatch.objects.create(
        name="late", amount=1, count=1, reason="r", maker=person("voucher_maker"),
        valid_from=now - timedelta(days=2), valid_until=now - timedelta(days=1),
    )  # fmt: skip
    assert do(office_of(operator("finance")), batch, "approve") == 200
    assert batch.status == "pending"


def test_nothing_moves_before_a_code_is_redeemed() -> None:
    issued(count=10, amount=Decimal(500))
    assert not LedgerEntry.objects.filter(key__startswith="voucher:").exists()
