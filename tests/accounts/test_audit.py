"""The audit log: append-only, shown to its user, and complete about money."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEvent, User
from accounts.services import audit
from billing.errors import IdempotencyConflict
from billing.models import LedgerEntry
from billing.services.credits import credit
from billing.services.ledger import wallet_of
from common import origin
from common.errors import Invalid
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

Action = AuditEvent.Action
LOG = "/users/me/security-log"


def log_of(api: Client, **query: Any) -> list[dict[str, Any]]:
    answer = api.get(LOG, query)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


# --- Append-only ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda event: AuditEvent.objects.filter(pk=event.pk).update(ip=None),
        lambda event: AuditEvent.objects.filter(pk=event.pk).delete(),
        lambda event: AuditEvent.objects.all().delete(),
        lambda event: event.save(),
        lambda event: event.delete(),
        lambda event: AuditEvent.objects.bulk_update([event], ["device"]),
        lambda event: event.user.delete(),
    ],
    ids=["update", "delete", "delete all", "save", "delete row", "bulk update", "with its user"],
)
def test_nothing_is_changed_or_removed(owner: User, change: Callable[[AuditEvent], Any]) -> None:
    event = audit.record(Action.LOGIN, user=owner, actor=owner)
    before = list(AuditEvent.objects.order_by("pk").values())
    with pytest.raises(DatabaseError), transaction.atomic():
        change(AuditEvent.objects.get(pk=event.pk))
    assert list(AuditEvent.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("tables", ["accounts_auditevent", "accounts_user CASCADE"])
def test_nor_truncated(owner: User, tables: str) -> None:
    audit.record(Action.LOGIN, user=owner, actor=owner)
    with (
        pytest.raises(DatabaseError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL yuntu.allow_truncate = off")
        cursor.execute(f"TRUNCATE {tables}")
    assert AuditEvent.objects.filter(action=Action.LOGIN).exists()


def test_who_asks_for_the_database_is_its_superuser(db: None) -> None:
    """Otherwise the refusals above would prove less than they say."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (True,)


# --- The security log -------------------------------------------------------------------------------------


def test_an_event_as_its_user_sees_it(owner: User, owner_api: Client) -> None:
    token = origin.current.set(origin.Origin("192.0.2.7", "Firefox"))
    event = audit.record(
        Action.EMAIL_CHANGED, user=owner, actor=owner, before={"email": None}, after={"email": "a@b.c"}
    )
    origin.current.reset(token)
    assert log_of(owner_api)[0] == {
        "id": str(event.pk),
        "action": "email_changed",
        "label": "邮箱已修改",
        "ip": "192.0.2.7",
        "device": "Firefox",
        "created_at": event.created_at.isoformat().replace("+00:00", "Z"),
        "by_operator": False,
        "before": {"email": None},
        "after": {"email": "a@b.c"},
    }
    answer = owner_api.get(LOG, headers={"Accept-Language": "en"})
    assert answer.json()["events"][0]["label"] == "E-mail changed"


def test_from_where_others_acted_is_theirs(owner: User, owner_api: Client, stranger: User) -> None:
    operator = make_user(is_staff=True)
    token = origin.current.set(origin.Origin("192.0.2.7", "Firefox"))
    for actor in (operator, stranger, None):
        audit.record(Action.ROLE_CHANGED, user=owner, actor=actor)
    audit.record(Action.BLOCKED, user=owner)  # by an operator at the command line
    origin.current.reset(token)
    seen = [(event["ip"], event["device"], event["by_operator"]) for event in log_of(owner_api, limit=4)]
    assert seen == [
        (None, "", True), ("192.0.2.7", "Firefox", False), (None, "", False), (None, "", True),
    ]  # fmt: skip


def test_newest_first_by_pages_and_nobody_elses(owner: User, owner_api: Client, stranger: User) -> None:
    audit.record(Action.LOGIN, user=stranger, actor=owner)
    audit.record(Action.LOGIN_FAILED)
    for number in range(5):
        audit.record(Action.LOGIN, user=owner, actor=owner, after={"number": number})
    first = owner_api.get(LOG, {"limit": 3}).json()
    assert [event["after"] for event in first["events"]] == [{"number": number} for number in (4, 3, 2)]
    assert (first["skip"], first["limit"]) == (0, 3)
    assert first["total"] == AuditEvent.objects.filter(user=owner).count()
    assert [event["after"] for event in log_of(owner_api, skip=3, limit=2)] == [{"number": 1}, {"number": 0}]
    assert {event["id"] for event in log_of(owner_api, limit=100)} == {
        str(pk) for pk in AuditEvent.objects.filter(user=owner).values_list("pk", flat=True)
    }


def test_the_log_is_for_who_is_signed_in_and_only_read(anonymous: Client, owner_api: Client) -> None:
    assert anonymous.get(LOG).status_code == 401
    before = AuditEvent.objects.count()
    assert [getattr(owner_api, method)(LOG).status_code for method in ("post", "put", "delete")] == [405] * 3
    assert AuditEvent.objects.count() == before


def test_the_log_takes_a_constant_number_of_queries(owner: User, owner_api: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert owner_api.get(LOG, {"limit": 100}).status_code == 200
        return len(captured)

    queries()
    before = queries()
    for _number in range(20):
        audit.record(Action.ROLE_CHANGED, user=owner, actor=make_user())
    assert queries() == before <= 3


# --- Money ------------------------------------------------------------------------------------------------


def balance_events(user: User) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(user=user, action=Action.BALANCE_CHANGED).order_by("created_at"))


def test_a_credit_is_told_with_what_it_changed(owner_api: Client) -> None:
    operator, user = make_user(is_staff=True), make_user()
    entry = credit(user=user, amount=Decimal("12.34"), key="k", reason="goodwill", actor=operator)
    [event] = balance_events(user)
    assert (event.actor, event.target_type, event.target_id) == (
        operator,
        "billing.ledgerentry",
        str(entry.pk),
    )
    assert event.before == {"balance": "50.00"}
    assert event.after == {"balance": "62.34", "amount": "12.34", "reason": "goodwill"}
    [shown] = [each for each in log_of(Client(user)) if each["action"] == "balance_changed"]
    assert (shown["by_operator"], shown["ip"], shown["after"]["amount"]) == (True, None, "12.34")


def test_a_credit_from_the_command_line_is_an_operators(db: None) -> None:
    user = make_user()
    call_command("credit", user.username, "5", reason="cheque", verbosity=0)
    [event] = balance_events(user)
    assert event.actor is None
    assert [each["by_operator"] for each in log_of(Client(user)) if each["action"] == "balance_changed"] == [
        True
    ]


def test_a_repeated_credit_is_told_once(db: None) -> None:
    user = make_user()
    for _time in range(3):
        credit(user=user, amount=Decimal(5), key="k", reason="twice")
    with pytest.raises(IdempotencyConflict):
        credit(user=user, amount=Decimal(6), key="k", reason="twice")
    assert len(balance_events(user)) == 1


def test_a_refused_credit_is_not_told(db: None) -> None:
    user = make_user()
    for amount, reason in ((Decimal(0), "x"), (Decimal("0.001"), "x"), (Decimal(5), " ")):
        with pytest.raises(Invalid):
            credit(user=user, amount=amount, key="k", reason=reason)
    with pytest.raises(RuntimeError), transaction.atomic():
        credit(user=user, amount=Decimal(5), key="k", reason="rolled back")
        raise RuntimeError
    assert balance_events(user) == []
    assert wallet_of(user).balance == 50


def test_a_credit_that_cannot_be_told_is_not_given(db: None) -> None:
    user = make_user()

    def refuse(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if 'INSERT INTO "accounts_auditevent"' in sql:
            raise DatabaseError("no log")
        return execute(sql, *rest)

    with pytest.raises(DatabaseError, match="no log"), connection.execute_wrapper(refuse):
        credit(user=user, amount=Decimal(5), key="k", reason="x")
    assert wallet_of(user).balance == 50
    assert not LedgerEntry.objects.filter(key="k").exists()


@pytest.mark.django_db(transaction=True)
def test_the_same_credit_sixteen_times_at_once_is_one_and_told_once() -> None:
    user = make_user()
    race(16, lambda number: credit(user=user, amount=Decimal(5), key="k", reason="race"))
    assert LedgerEntry.objects.filter(key="k").count() == 1
    assert len(balance_events(user)) == 1


# --- Registration -----------------------------------------------------------------------------------------


def test_a_registration_is_the_first_event(db: None) -> None:
    user = make_user()
    [event] = AuditEvent.objects.filter(user=user, action=Action.REGISTERED)
    assert (event.actor, event.target_id) == (user, str(user.pk))
