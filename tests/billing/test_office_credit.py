"""Credits and debits by hand in the back office: one asks, another one decides, the wallet moves once."""

from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client
from PIL import Image

from accounts.models import AuditEvent, User
from accounts.permissions import StaffGroup
from accounts.services.teams import create_team
from billing.errors import SamePerson
from billing.models import CreditRequest, Document, LedgerEntry, PriceRule, Wallet
from billing.services import approvals
from billing.services.approvals import approve_credit, request_credit
from billing.services.holds import place_hold
from billing.services.ledger import post_entry, wallet_of
from common.errors import DomainError, TransitionNotAllowed
from common.ids import new_id
from tests.accounts.staff import office_of, operator, page
from tests.billing.audit import violations
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
Status = CreditRequest.Status


def ask(office: Client, wallet: Any, **form: Any) -> Any:
    body = {"amount": "12.34", "reason": "bank transfer 4711", "key": str(new_id()), "_form_submitted": "on"}
    return office.post(f"/admin/billing/wallet/{wallet.pk}/credit/", {**body, **form})


def decide(office: Client, row: CreditRequest, deed: str, reason: str = "seen on the account") -> Any:
    body = {"reason": reason, "_form_submitted": "on"}
    return office.post(f"/admin/billing/creditrequest/{row.pk}/{deed}/", body)


def asked(wallet: Wallet, amount: str = "5", maker: User | None = None) -> CreditRequest:
    return request_credit(
        wallet=wallet,
        amount=Decimal(amount),
        key=str(new_id()),
        reason="r",
        maker=maker or operator("finance"),
    )


def balance_of(wallet: Wallet) -> str:
    wallet.refresh_from_db()
    return f"{wallet.balance:.2f}"


@pytest.mark.parametrize("group", list(StaffGroup))
def test_finance_asks_and_somebody_else_of_finance_decides(group: str) -> None:
    boss, target = operator(group), make_user()
    office, wallet = office_of(boss), wallet_of(target)
    link = f"/admin/billing/wallet/{wallet.pk}/credit/"
    allowed = group in ("finance", "superuser")
    shown = office.get(page(type(wallet), "change", wallet.pk))
    if shown.status_code == 200:
        assert (link in shown.content.decode()) == allowed
    assert office.get(link).status_code == (200 if allowed else 403)
    key = str(new_id())
    for _twice in range(2):
        assert ask(office, wallet, key=key).status_code == (200 if allowed else 403)
    assert CreditRequest.objects.count() == allowed
    assert balance_of(wallet) == "50.00"
    if not allowed:
        row = asked(wallet, maker=operator("superuser") if group != "superuser" else None)
        for deed in ("approve", "reject", "withdraw"):
            assert decide(office, row, deed).status_code == 403
        assert balance_of(wallet) == "50.00"
        return

    row = CreditRequest.objects.get()
    assert decide(office, row, "approve").status_code == 200  # one's own: told why not
    assert balance_of(wallet) == "50.00"
    told = office.get(page(CreditRequest, "change", row.pk)).content.decode()
    assert "申请人不能复核自己的申请。" in told
    second = make_user(username="second", is_staff=True)
    second.groups.set(boss.groups.all())
    for _twice in range(2):
        assert decide(office_of(second), row, "approve").status_code == 200
    assert balance_of(wallet) == "62.34"
    row.refresh_from_db()
    assert (row.status, row.maker, row.checker, row.decision) == (
        "approved",
        boss,
        second,
        "seen on the account",
    )
    assert row.entry is not None
    assert (row.entry.kind, row.entry.key, row.entry.actor) == ("correction", f"credit:{row.pk}", second)
    events = AuditEvent.objects.filter(action=AuditEvent.Action.BALANCE_CHANGED, user=target, actor=second)
    assert [event.after["maker"] for event in events] == [str(boss.pk)]
    assert violations() == []


@pytest.mark.parametrize(
    "form",
    [
        {"amount": "0"}, {"amount": "0.001"}, {"amount": "10000000.01"}, {"amount": "-10000000.01"},
        {"amount": "NaN"}, {"amount": ""}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"key": "x"},
        {"key": ""},
    ],
)  # fmt: skip
def test_requests_that_cannot_be(form: dict[str, str]) -> None:
    office, wallet = office_of(operator("finance")), wallet_of(make_user())
    assert ask(office, wallet, **form).status_code == 200
    assert CreditRequest.objects.count() == 0


@pytest.mark.parametrize("key", ["01a20538-0000-7000-8000-000000000000", "none"])
def test_a_wallet_that_is_none_is_not_credited(key: str) -> None:
    body = {"amount": "1", "reason": "x", "key": str(new_id()), "_form_submitted": "on"}
    answer = office_of(operator("finance")).post(f"/admin/billing/wallet/{key}/credit/", body)
    assert answer.status_code == 404
    assert CreditRequest.objects.count() == 0


def test_nobody_decides_on_their_own_money() -> None:
    me, other = operator("finance"), make_user(username="other", is_staff=True)
    team = create_team(owner=me, name="灯笼")
    for wallet in (wallet_of(me), wallet_of(team)):
        ask(office_of(me), wallet)
        assert CreditRequest.objects.filter(wallet=wallet).count() == 0
        row = asked(wallet, maker=other)
        decide(office_of(me), row, "approve")
        decide(office_of(me), row, "reject")
        row.refresh_from_db()
        assert row.status == Status.PENDING
    assert not LedgerEntry.objects.filter(kind="correction").exists()


def test_rejected_and_withdrawn_requests_move_nothing() -> None:
    maker, checker = operator("finance"), operator("superuser")
    wallet = wallet_of(make_user())
    rejected, withdrawn = asked(wallet, maker=maker), asked(wallet, maker=maker)
    decide(office_of(maker), rejected, "reject")
    decide(office_of(checker), withdrawn, "withdraw")
    for row in (rejected, withdrawn):
        row.refresh_from_db()
        assert row.status == Status.PENDING
    decide(office_of(checker), rejected, "reject", reason="no such transfer")
    decide(office_of(maker), withdrawn, "withdraw")
    for row, status in ((rejected, Status.REJECTED), (withdrawn, Status.WITHDRAWN)):
        row.refresh_from_db()
        assert row.status == status
        decide(office_of(checker), row, "approve")
        row.refresh_from_db()
        assert row.status == status
    assert balance_of(wallet) == "50.00"


def test_a_debit_takes_paid_money_that_is_available() -> None:
    user = make_user(money="20")  # beside 50 that were given
    wallet, maker, checker = wallet_of(user), operator("finance"), operator("superuser")
    too_much, right, held = (asked(wallet, amount, maker) for amount in ("-20.01", "-15", "-5"))
    for row in (too_much, right):
        decide(office_of(checker), row, "approve")
    place_hold(wallet=wallet, amount=Decimal("50.01"), key="h", task_id=new_id(), description="job")
    decide(office_of(checker), held, "approve")
    assert balance_of(wallet) == "55.00"
    assert sorted(CreditRequest.objects.values_list("status", flat=True)) == [
        "approved",
        "pending",
        "pending",
    ]
    assert violations() == []


def test_postgresql_holds_it() -> None:
    maker, checker = operator("finance"), operator("superuser")
    wallet = wallet_of(make_user())
    row = asked(wallet, maker=maker)
    entry = post_entry(
        wallet=wallet, kind=LedgerEntry.Kind.CORRECTION, amount=Decimal(9), key="x", actor=checker
    )
    for changes in (
        {"status": "approved", "checker": checker},  # no entry
        {"status": "approved", "checker": maker, "entry": entry},  # one person
        {"status": "approved", "checker": checker, "entry": entry},  # another amount
        {"amount": 9},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            CreditRequest.objects.filter(pk=row.pk).update(**changes)
            with transaction.get_connection().cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(DatabaseError), transaction.atomic():
        row.delete()


@pytest.mark.django_db(transaction=True)
def test_two_checkers_at_once_post_one_entry() -> None:
    wallet = wallet_of(make_user())
    row = asked(wallet)
    checkers = [make_user(username=f"checker_{number}", is_staff=True) for number in range(6)]

    def act(number: int) -> object:
        try:
            return approve_credit(request=row, checker=checkers[number], decision="seen")
        except TransitionNotAllowed as error:
            return error

    found = race(6, act)
    assert sum(isinstance(each, LedgerEntry) for each in found) == 1
    assert balance_of(wallet) == "55.00"
    assert violations() == []


def test_who_asked_cannot_be_who_decides() -> None:
    maker = operator("finance")
    row = asked(wallet_of(make_user()), maker=maker)
    for act in (approvals.approve_credit, approvals.reject_credit):
        with pytest.raises(SamePerson):
            act(request=row, checker=maker, decision="d")
    with pytest.raises(DomainError):
        approve_credit(request=row, checker=operator("superuser"), decision=" ")


def test_finance_sees_prices_and_sets_none() -> None:
    office = office_of(operator("finance"))
    before = PriceRule.objects.count()
    form = {"engine": "maya", "unit": "frame", "price": "0", "currency": "CNY", "valid_from_0": "2026-11-01",
            "valid_from_1": "00:00"}  # fmt: skip
    assert office.post(page(PriceRule, "add"), form).status_code == 403
    assert PriceRule.objects.count() == before


# --- Evidence that is a file ---


def picture(kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, kind)
    return buffer.getvalue()


PDF = b"%PDF-1.4 transfer 4711"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("transfer.pdf", PDF, "application/pdf"),
        ("screen.png", picture(), "image/png"),
        ("photo.pdf", picture("JPEG"), "image/jpeg"),  # what it is, its content says
    ],
)
def test_evidence_is_kept_and_opened_by_who_sees_money(name: str, content: bytes, kind: str) -> None:
    wallet = wallet_of(make_user())
    office, key = office_of(operator("finance")), str(new_id())
    for _twice in range(2):
        ask(office, wallet, file=SimpleUploadedFile(name, content), key=key, is_payment="on")
    row = CreditRequest.objects.get()
    document = Document.objects.get()  # sent twice, it is kept once
    assert (row.document, row.is_payment, document.name) == (document, True, name)
    assert (document.content_type, document.size) == (kind, len(content))
    path = f"/admin/billing/creditrequest/{row.pk}/document/"
    assert path in office.get(page(CreditRequest, "change", row.pk)).content.decode()
    for group in StaffGroup:
        who = User.objects.filter(username=f"{group}_op").first() or operator(group)
        answer, allowed = office_of(who).get(path), group in ("finance", "auditor", "superuser")
        assert answer.status_code == (200 if allowed else 403)
        told = AuditEvent.objects.filter(action="file_opened", actor=who)
        assert [event.after for event in told] == ([{"name": name}] if allowed else [])
        if allowed:
            assert (answer.content, answer["Content-Type"]) == (content, kind)
            assert answer["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "content",
    [
        b"MZ program",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture()[:40],
        b"%PDF-" + b"0" * (5 << 20),
    ],
)
def test_evidence_that_is_no_document_is_refused(content: bytes) -> None:
    wallet = wallet_of(make_user())
    answer = ask(office_of(operator("finance")), wallet, file=SimpleUploadedFile("evidence.png", content))
    assert answer.status_code == 200
    assert (CreditRequest.objects.count(), Document.objects.count()) == (0, 0)


def test_a_request_without_a_file_has_nothing_to_open() -> None:
    row = asked(wallet_of(make_user()))
    office = office_of(User.objects.get(username="finance_op"))
    assert office.get(f"/admin/billing/creditrequest/{row.pk}/document/").status_code == 404
