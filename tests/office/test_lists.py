"""Lists of the back office: bounded, found by what people know, taken away as a file by who may."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEvent, Notification, Session, SocialAccount, User
from billing.models import LedgerEntry
from common import lists
from common.exports import harmless
from common.ids import new_id
from common.lists import first_id_of, since
from drives.models import Drive
from tests.accounts.staff import office_of, operator, page
from tests.factories import make_user, token_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(db: None) -> Client:
    return office_of(operator("superuser", is_superuser=True))


def shown(office: Client, model: Any, **query: str) -> list[Any]:
    answer = office.get(page(model, "changelist"), query)
    assert answer.status_code == 200, (model, query)
    return list(answer.context["cl"].result_list)


# --- Counting and order ---


def test_a_long_list_is_not_counted_whole(office: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MOST_ROWS", 3)
    owner = make_user()
    Notification.objects.bulk_create([Notification(user=owner, title=f"t{number}") for number in range(5)])
    text = office.get(page(Notification, "changelist")).content.decode()
    assert "超过 3 条" in text
    with CaptureQueriesContext(connection) as captured:
        office.get(page(Notification, "changelist"))
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT 4" in sql for sql in counts)


def test_the_order_of_creation_is_that_of_the_ids(office: Client) -> None:
    answer = office.get(page(Session, "changelist"))
    assert answer.context["cl"].queryset.query.order_by == ("-pk",)
    answer = office.get(page(Session, "changelist"), {"o": "3"})
    assert answer.context["cl"].queryset.query.order_by == ("pk",)


def test_no_list_scans_for_dates_or_counts_all() -> None:
    for model, site_page in admin.site._registry.items():
        assert not site_page.show_full_result_count, model
        assert issubclass(site_page.paginator, lists.BoundedPaginator), model


def test_ids_tell_when_rows_were_made() -> None:
    now = timezone.now()
    earlier = make_user()
    assert first_id_of(now - timedelta(seconds=5)) < earlier.pk < first_id_of(now + timedelta(minutes=1))
    assert list(since(User.objects.all(), now - timedelta(seconds=5))) == [earlier]
    assert not since(User.objects.all(), now + timedelta(minutes=1)).exists()


@pytest.mark.parametrize(
    ("days", "found"),
    [((0, 0), True), ((1, 1), False), ((-3, -1), False), ((-1, 1), True), ((0, None), True)],
)
def test_rows_of_days(office: Client, days: tuple[int, int | None], found: bool) -> None:
    user = make_user()
    query = {
        f"created_at_{end}": str(timezone.localdate() + timedelta(days=day))
        for end, day in zip(("from", "to"), days, strict=True)
        if day is not None
    }
    assert (user in shown(office, User, **query)) == found


def test_a_day_that_is_none_narrows_nothing(office: Client) -> None:
    user = make_user()
    assert user in shown(office, User, created_at_from="yesterday", created_at_to="2026-13-40")


# --- Searching ---


@pytest.mark.parametrize("term", ["lantern_mei", "ANTERN", "13712345", "mei@example", "云上的梅", "oMei-42"])
def test_users_are_found_by_what_people_know_of_them(office: Client, term: str) -> None:
    make_user(username="somebody_else")
    user = make_user(username="lantern_mei", phone="13712345678", email="mei@example.com")
    SocialAccount.objects.create(
        user=user, provider="wechat", appid="wx1", openid="oMei-42", nickname="云上的梅"
    )
    token_of(user)
    assert shown(office, User, q=term) == [user]
    # Whatever belongs to somebody is found by who that is.
    assert [session.user for session in shown(office, Session, q=term)] == [user]
    assert {drive.user for drive in shown(office, Drive, q=term)} == {user}
    assert {entry.wallet.user for entry in shown(office, LedgerEntry, q=term)} == {user}


def test_users_are_found_by_their_id(office: Client) -> None:
    user = make_user()
    assert shown(office, User, q=str(user.pk)) == [user]
    assert shown(office, User, q=str(new_id())) == []


@pytest.mark.parametrize("term", ["%", "_", "\\", "'", "\0", "192.0.2.1", "not an address", "x" * 2000, "，"])
def test_no_search_breaks(office: Client, term: str) -> None:
    for model, site_page in admin.site._registry.items():
        if site_page.search_fields:
            assert office.get(page(model, "changelist"), {"q": term}).status_code == 200, model


def test_an_address_is_found_as_a_whole(office: Client) -> None:
    user = make_user()
    token_of(user)
    Session.objects.filter(user=user).update(ip="192.0.2.7")
    assert [session.user for session in shown(office, Session, q="192.0.2.7")] == [user]
    assert shown(office, Session, q="192.0.2") == []


# --- Taking it away ---


def rows_of(answer: Any) -> list[list[str]]:
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def export(office: Client, model: Any, **query: str) -> Any:
    return office.get(page(model, "export"), query)


def test_a_list_is_exported_as_it_is_narrowed(office: Client) -> None:
    make_user(username="somebody_else")
    user = make_user(username="lantern_mei")
    shown_page = office.get(page(User, "changelist"), {"q": "lantern"}).content.decode()
    assert "export/?q=lantern" in shown_page
    answer = export(office, User, q="lantern")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer["Content-Disposition"]
    header, *rows = rows_of(answer)
    assert header[:4] == ["用户名", "手机号", "邮箱", "会员等级"]
    assert [row[:4] for row in rows] == [["lantern_mei", user.phone, "", "免费版"]]


def test_money_stays_a_number(office: Client) -> None:
    make_user(money="12.5")
    header, *rows = rows_of(export(office, LedgerEntry))
    assert "12.50" in {row[header.index("金额")] for row in rows}


def test_many_rows_come_in_batches(office: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.exports.BATCH", 3)
    users = [make_user() for _number in range(8)]
    _header, *rows = rows_of(export(office, User, q="artist_"))
    assert [row[0] for row in rows] == [user.username for user in reversed(users)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\nx", "＝1", "－1"])
def test_formulas_are_text(office: Client, text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_what_a_user_writes_is_no_formula(office: Client) -> None:
    Notification.objects.create(user=make_user(), title='=HYPERLINK("http://x","y")')
    header, *rows = rows_of(export(office, Notification))
    assert rows[0][header.index("标题")] == '\'=HYPERLINK("http://x","y")'


def test_an_export_is_told(office: Client) -> None:
    rows_of(export(office, User, q="lantern"))
    event = AuditEvent.objects.get(action=AuditEvent.Action.ADMIN_EXPORTED)
    assert event.actor is not None
    assert (event.actor.username, event.target_id) == ("superuser_op", "")
    assert event.after == {"list": "accounts.user", "query": "q=lantern"}


@pytest.mark.parametrize(
    ("group", "model", "code"),
    [
        ("support", User, 403), ("finance", LedgerEntry, 200), ("finance", User, 200), ("farm", LedgerEntry, 403),
        ("auditor", User, 200), ("superuser", User, 200),
    ],
)  # fmt: skip
def test_who_may_export(group: str, model: Any, code: int) -> None:
    office = office_of(operator(group))
    assert export(office, model).status_code == code
    if office.get(page(model, "changelist")).status_code == 200:
        text = office.get(page(model, "changelist")).content.decode()
        assert ('id="export"' in text) == (code == 200)
    assert AuditEvent.objects.filter(action="admin_exported").count() == (code == 200)


def test_strangers_export_nothing() -> None:
    assert export(Client(), User).status_code == 302
    assert export(office_of(make_user()), User).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_under_asgi_it_is_streamed_as_well() -> None:
    from asgiref.sync import async_to_sync

    boss = operator("superuser", is_superuser=True)
    client = AsyncClient()
    client.force_login(boss)

    async def read() -> bytes:
        answer: Any = await client.get(page(User, "export"))
        return b"".join([block async for block in answer.streaming_content])

    assert boss.username in async_to_sync(read)().decode()
