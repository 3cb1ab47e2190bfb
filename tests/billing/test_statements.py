"""Monthly statements: from the entries alone, once, for everybody, as PDF and CSV, and by mail."""

import csv
import io
import shutil
import subprocess
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends import locmem
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from accounts.models import Notification, TeamMember, User
from accounts.services.teams import create_team
from billing import tasks
from billing.models import LedgerEntry, Statement, Wallet
from billing.services.gifts import give
from billing.services.holds import place_hold
from billing.services.ledger import post_entry, wallet_of
from billing.services.statements import mail_due, write_due
from tests.billing.history import set_created, without_triggers
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

pytestmark = pytest.mark.django_db
Kind = LedgerEntry.Kind
NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)


def post(wallet: Wallet, kind: LedgerEntry.Kind, amount: str, when: str, text: str = "t") -> LedgerEntry:
    """An entry of another time (Asia/Shanghai)."""
    entry = post_entry(
        wallet=wallet, kind=kind, amount=Decimal(amount), key=f"{kind}{when}", description=text
    )
    set_created(entry, datetime.fromisoformat(f"{when}+08:00"))
    return entry


@pytest.fixture
def painter(settings: Any) -> User:
    """With 20 yuan given in March, and movements in April and May."""
    settings.TRIAL_CREDIT = 0
    user = make_user(username="painter", email="p@example.com", email_verified_at=NOW)
    wallet = wallet_of(user)
    gift = give(wallet=wallet, amount=Decimal(20), key="g", description="欢迎")
    set_created(gift.entry, datetime.fromisoformat("2026-03-20T12:00:00+08:00"))
    post(wallet, Kind.RECHARGE, "100", "2026-04-01T00:00:00")
    lost: dict[str, Any] = {
        "kind": Kind.CHARGEBACK,
        "amount": Decimal("-30.0037"),
        "key": "c",
        "description": "渲染 <灯笼>",
    }
    back = post_entry(wallet=wallet, **lost)
    set_created(back, datetime.fromisoformat("2026-04-30T23:59:59+08:00"))
    post(wallet, Kind.RECHARGE, "5", "2026-05-01T00:00:00")
    return user


def months(user: User) -> list[tuple[Any, ...]]:
    rows = Statement.objects.filter(wallet__user=user).order_by("month")
    return [(f"{row.month:%Y-%m}", row.opening, row.moved, row.closing, row.first_sequence) for row in rows]


def test_months_follow_each_other_without_a_gap(painter: User) -> None:
    assert write_due(now=NOW) == 3
    assert months(painter) == [
        ("2026-03", 0, 20, 20, 1),
        ("2026-04", 20, Decimal("69.9963"), Decimal("89.9963"), 2),
        ("2026-05", Decimal("89.9963"), 5, Decimal("94.9963"), 4),
    ]
    april = Statement.objects.get(month=date(2026, 4, 1))
    assert april.sums == {"chargeback": "-30.003700", "recharge": "100.000000"}
    assert (april.opening_gift, april.closing_gift, april.last_sequence) == (20, 20, 3)


def test_run_again_late_or_early_it_writes_what_is_missing(painter: User) -> None:
    assert write_due(now=datetime(2026, 4, 30, 15, 59, tzinfo=UTC)) == 1  # still April in Shanghai
    assert write_due(now=datetime(2026, 4, 30, 16, tzinfo=UTC)) == 1
    assert write_due(now=datetime(2026, 9, 1, tzinfo=UTC)) == 1
    assert write_due(now=datetime(2026, 9, 1, tzinfo=UTC)) == 0
    assert [row[0] for row in months(painter)] == ["2026-03", "2026-04", "2026-05"]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_write_once_and_tell_once(painter: User) -> None:
    assert sum(race(4, lambda _number: write_due(now=NOW))) == 3
    race(4, lambda _number: mail_due(now=timezone.now()))
    assert len(months(painter)) == 3
    assert Notification.objects.filter(user=painter).count() == len(mail.outbox) == 3


def test_what_is_written_stays(painter: User) -> None:
    write_due(now=NOW)
    row = Statement.objects.first()
    assert row is not None
    changes: list[dict[str, Any]] = [{"closing": 7, "moved": 7}, {"sums": {}}, {"last_sequence": 99}]
    for change in changes:
        with pytest.raises(DatabaseError), transaction.atomic():
            Statement.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        row.delete()
    again = {
        field.name: getattr(row, field.name) for field in row._meta.concrete_fields if field.name != "id"
    }
    with pytest.raises(IntegrityError), transaction.atomic():
        Statement.objects.create(**again)


def test_no_statement_is_written_of_entries_that_do_not_add_up(painter: User, stranger: User) -> None:
    with without_triggers("billing_ledgerentry"), connection.cursor() as cursor:
        cursor.execute("UPDATE billing_ledgerentry SET amount = amount + 1 WHERE key = 'c'")
    for entry in LedgerEntry.objects.filter(wallet__user=stranger):
        set_created(entry, NOW - timedelta(days=20))
    write_due(now=NOW)
    assert months(painter) == []  # all months of a wallet are one transaction
    assert len(months(stranger)) == 1


# --- at the door --------------------------------------------------------------------------------------------


def test_statements_at_the_door(painter: User) -> None:
    write_due(now=NOW)
    api = Client(painter)
    body = api.get("/billing/statements").json()
    assert [row["month"] for row in body["statements"]] == ["2026-05", "2026-04", "2026-03"]
    april = body["statements"][1]
    assert (april["opening"], april["moved"], april["closing"]) == (20.0, 69.9963, 89.9963)
    assert april["sums"] == {"chargeback": -30.0037, "recharge": 100.0}
    assert api.get(f"/billing/statements/{april['id']}").json() == april


def test_statements_of_others_are_out_of_sight(painter: User, owner: User) -> None:
    team = create_team(owner=owner, name="t")
    member = make_user()
    TeamMember.objects.create(team=team, user=member, role="member")
    post(wallet_of(team), Kind.RECHARGE, "5", "2026-05-02T00:00:00")
    write_due(now=NOW)
    ours = Statement.objects.get(wallet__team=team)
    assert Client(owner).get(f"/billing/statements/{ours.pk}").status_code == 200
    for door in ("", "/csv", "/pdf"):
        assert Client(member).get(f"/billing/statements/{ours.pk}{door}").status_code == 404
        assert Client(painter).get(f"/billing/statements/{ours.pk}{door}").status_code == 404


def test_the_spreadsheet_goes_from_opening_to_closing(painter: User) -> None:
    write_due(now=NOW)
    april = Statement.objects.get(month=date(2026, 4, 1))
    answer: Any = Client(painter).get(f"/billing/statements/{april.pk}/csv")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode("utf-8-sig"))))
    assert [(row[2], row[3], row[5]) for row in rows[1:]] == [
        ("期初余额", "", "20.00"), ("充值", "100.00", "120.00"), ("拒付", "-30.0037", "89.9963"),
        ("期末余额", "69.9963", "89.9963"),
    ]  # fmt: skip
    assert rows[2][1] == "2026-04-01 00:00:00"


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler-utils")
def test_the_document_is_in_chinese(painter: User) -> None:
    place_hold(wallet=wallet_of(painter), amount=Decimal(3), key="h", description="d")
    write_due(now=NOW)
    april = Statement.objects.get(month=date(2026, 4, 1))
    answer = Client(painter).get(f"/billing/statements/{april.pk}/pdf", headers={"Accept-Language": "en"})
    assert answer["Content-Type"] == "application/pdf"
    found = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=answer.content, capture_output=True, timeout=30
    )
    text = found.stdout.decode()
    for word in (
        "2026-04 对账单",
        "painter",
        "期初余额",
        "期末余额",
        "89.9963",
        "渲染 <灯笼>",
        "元 (CNY)",
        "赠送金额：20.00",
    ):
        assert word in text, (word, text)


# --- mail ---------------------------------------------------------------------------------------------------


def test_proved_addresses_get_it_by_mail_and_everybody_a_notification(painter: User, settings: Any) -> None:
    silent = make_user(email="claimed@example.com")
    post(wallet_of(silent), Kind.RECHARGE, "5", "2026-05-02T00:00:00")
    write_due(now=NOW)
    mail_due(now=timezone.now())
    mail_due(now=timezone.now())
    assert [(sent.to, sent.subject) for sent in mail.outbox] == [
        (["p@example.com"], f"{month} 对账单") for month in ("2026-03", "2026-04", "2026-05")
    ]
    name, content, kind = mail.outbox[1].attachments[0]
    assert (name, kind, bytes(content)[:5]) == ("2026-04.pdf", "application/pdf", b"%PDF-")
    [note] = Client(silent).get("/notifications").json()["notifications"]
    assert (note["title"], note["message"]) == ("2026-05 对账单", "期初余额 0.00，期末余额 5.00 CNY。")


def test_what_the_mail_server_did_not_take_is_sent_by_the_next_run(
    painter: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_due(now=NOW)

    def refuse(*_args: Any) -> int:
        raise OSError("no route to host")

    with monkeypatch.context() as away:
        away.setattr(locmem.EmailBackend, "send_messages", refuse)
        assert mail_due(now=timezone.now()) == 0
    assert mail_due(now=timezone.now()) == len(mail.outbox) == 3
    assert mail_due(now=timezone.now()) == 0


def test_statements_are_scheduled() -> None:
    row = PeriodicTask.objects.select_related("crontab").get(task="billing.tasks.write_statements")
    assert (str(row.crontab.hour), str(row.crontab.timezone)) == ("2", "Asia/Shanghai")
    tasks.write_statements()
