"""Wallets, entries, bills, holds, gifts and what money went to: at the door, by whom, and narrowed to what."""

import csv
import io
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import Team, TeamMember, User
from accounts.services.teams import create_team
from billing import selectors
from billing.models import Bill, LedgerEntry, Wallet
from billing.periods import day_of
from billing.services.bills import Charge, charge_now
from billing.services.gifts import give
from billing.services.holds import capture_hold, place_hold, settle_hold
from billing.services.ledger import post_entry, wallet_of
from common.ids import new_id
from tests.billing.history import set_created
from tests.conftest import Client
from tests.factories import make_user, token_of

Kind = LedgerEntry.Kind


def render(
    wallet: Wallet, yuan: str, *, spender: User, engine: str = "blender", name: str = "lantern"
) -> UUID:
    """A task that cost so much; its id."""
    task_id, key = new_id(), str(new_id())
    hold = place_hold(
        wallet=wallet, amount=Decimal(yuan) + 1, key=key, task_id=task_id, description=f"Render {name}: 3 frames",
        spender=spender, engine=engine,
    )  # fmt: skip
    charge = Charge(f"Render {name}", Decimal(1), Decimal(yuan))
    settle_hold(hold=hold, charges=[charge], description=f"Render {name}")
    return task_id


def fill(wallet: Wallet, yuan: str) -> LedgerEntry:
    return post_entry(
        wallet=wallet, kind=Kind.RECHARGE, amount=Decimal(yuan), key=str(new_id()), description="r"
    )


@pytest.fixture
def team(owner: User) -> Team:
    """A team of the owner, with an admin, a member and a viewer who are called so, and 100 yuan."""
    made = create_team(owner=owner, name="灯笼工作室")
    for role in ("admin", "member", "viewer"):
        TeamMember.objects.create(team=made, user=make_user(username=f"team_{role}"), role=role)
    fill(wallet_of(made), "100")
    return made


def api_of(name: str) -> Client:
    return Client(User.objects.get(username=name))


# --- whose --------------------------------------------------------------------------------------------------


def test_wallets_are_ones_own_and_those_of_teams_one_manages(
    team: Team, owner: User, owner_api: Client
) -> None:
    give(wallet=wallet_of(owner), amount=Decimal(5), key="g", description="g")
    body = owner_api.get("/billing/wallets").json()
    mine, ours = body["wallets"]
    assert mine == {
        "id": str(wallet_of(owner).pk), "owner": {"kind": "user", "id": str(owner.pk), "name": "owner"},
        "currency": "CNY", "balance": 105.0, "held": 0.0, "available": 105.0, "gift": 55.0, "is_parked": False,
    }  # fmt: skip
    assert ours["owner"] == {"kind": "team", "id": str(team.pk), "name": "灯笼工作室"}
    assert (ours["balance"], ours["gift"], body["total"]) == (100.0, 0.0, 2)
    assert owner_api.get(f"/billing/wallets/{ours['id']}").json() == ours


DOORS = ["transactions", "transactions/export", "bills", "holds", "gifts", "spending"]


@pytest.mark.parametrize("door", DOORS)
def test_the_money_of_a_team_is_seen_by_its_managers_alone(team: Team, owner_api: Client, door: str) -> None:
    wallet = wallet_of(team)
    path = f"/billing/{door}?wallet={wallet.pk}"
    assert owner_api.get(path).status_code == api_of("team_admin").get(path).status_code == 200
    for outsider in (api_of("team_member"), api_of("team_viewer"), Client(make_user())):
        answer = outsider.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert outsider.get(f"/billing/wallets/{wallet.pk}").status_code == 404
        assert str(wallet.pk) not in outsider.get("/billing/wallets").content.decode()


def test_a_bill_is_seen_by_who_sees_its_wallet(team: Team, owner: User, owner_api: Client) -> None:
    render(wallet_of(team), "7", spender=owner)
    bill = Bill.objects.get()
    body = owner_api.get(f"/billing/bills/{bill.pk}").json()
    assert (body["amount"], body["user_id"], body["kind"]) == (7.0, None, "job")
    assert api_of("team_member").get(f"/billing/bills/{bill.pk}").status_code == 404


def test_old_doors_show_ones_own_money_alone(team: Team, owner: User, owner_api: Client) -> None:
    render(wallet_of(team), "7", spender=owner)
    assert owner_api.get("/users/bills").json()["total"] == 0
    rows = owner_api.get("/users/transactions").json()["transactions"]
    assert {row["user_id"] for row in rows} == {str(owner.pk)}


# --- narrowed ----------------------------------------------------------------------------------------------


def types(body: dict[str, Any], key: str = "transactions") -> list[str]:
    return [row["type"] for row in body[key]]


def test_entries_by_kind(owner: User, owner_api: Client) -> None:
    render(wallet_of(owner), "7", spender=owner)
    assert types(owner_api.get("/billing/transactions").json()) == ["consume", "correction", "grant"]
    body = owner_api.get("/billing/transactions", {"type": "hold,release"}).json()
    assert [(row["type"], row["amount"], row["held_change"], row["number"]) for row in body["transactions"]] == [
        ("release", 0.0, -1.0, 5), ("hold", 0.0, 8.0, 3),
    ]  # fmt: skip
    [spent] = owner_api.get("/billing/transactions?type=consume").json()["transactions"]
    assert (spent["amount"], spent["gift_change"], spent["balance_after"]) == (-7.0, -7.0, 93.0)


def test_entries_of_a_task(owner: User, owner_api: Client) -> None:
    tasks = [render(wallet_of(owner), "7", spender=owner) for _twice in range(2)]
    [row] = owner_api.get("/billing/transactions", {"task_id": str(tasks[0])}).json()["transactions"]
    assert row["task_id"] == str(tasks[0])
    [bill] = owner_api.get("/billing/bills", {"task_id": str(tasks[1])}).json()["bills"]
    assert bill["task_id"] == str(tasks[1])


def test_days_are_those_of_shanghai(owner: User, owner_api: Client) -> None:
    entry = fill(wallet_of(owner), "1")
    set_created(entry, datetime.fromisoformat("2026-03-31T16:30:00Z"))  # the 1st of April there
    for day, found in (("2026-03-31", 0), ("2026-04-01", 1)):
        for first, last, path in (("from", "to", "transactions"), ("start_date", "end_date", "records")):
            body = owner_api.get(f"/billing/{path}", {first: day, last: day}).json()
            assert body["total"] == found, (path, day)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"wallet": "x"}, "wallet"),
        ({"type": "gold"}, "type"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"to": "9999-12-31"}, "to"),
        ({"task_id": "7"}, "task_id"),
    ],
)
def test_what_cannot_be_asked_is_said(owner_api: Client, query: dict[str, str], field: str) -> None:
    for door in ("transactions", "transactions/export"):
        answer = owner_api.get(f"/billing/{door}", query)
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, ["query", field])


def test_holds_that_are_open_come_first(owner: User, owner_api: Client) -> None:
    hold = place_hold(
        wallet=wallet_of(owner), amount=Decimal(9), key="h", task_id=new_id(), description="d", spender=owner,
        engine="maya",
    )  # fmt: skip
    capture_hold(hold=hold, total=Decimal("2.5"), description="d")
    render(wallet_of(owner), "7", spender=owner)
    first, second = owner_api.get("/billing/holds").json()["holds"]
    assert (first["status"], first["amount"], first["captured"], first["engine"]) == (
        "open",
        9.0,
        2.5,
        "maya",
    )
    assert (second["status"], second["released"], second["spender_id"]) == ("closed", 1.0, str(owner.pk))


def test_gifts_come_in_the_order_in_which_they_burn(owner: User, owner_api: Client) -> None:
    wallet, now = wallet_of(owner), timezone.now()
    for name, days in (("late", 9), ("soon", 3), ("over", 1)):
        give(
            wallet=wallet,
            amount=Decimal(5),
            key=name,
            description=name,
            expires_at=now + timedelta(days=days),
        )
    charge_now(
        wallet=wallet,
        kind=Bill.Kind.STORAGE,
        charges=[Charge("s", Decimal(1), Decimal(6))],
        key="s",
        description="s",
    )
    body = owner_api.get("/billing/gifts").json()
    assert [(row["description"], row["remaining"]) for row in body["gifts"]] == [
        ("soon", 4.0), ("late", 5.0), ("试用金", 50.0), ("over", 0.0),
    ]  # fmt: skip


# --- old clients --------------------------------------------------------------------------------------------


def test_the_desktop_client_pages_by_number(owner: User) -> None:
    for _time in range(3):
        render(wallet_of(owner), "1", spender=owner)
    desktop = Client(owner)
    token = f"Bearer {token_of(owner)}"
    desktop.credentials(HTTP_AUTHORIZATION=token, HTTP_USER_AGENT="YuntuClient/1.0.0")
    body = desktop.get("/user/transactions", {"page": 2, "pageSize": 2}).json()
    assert (body["total"], body["skip"], body["limit"]) == (5, 2, 2)
    assert [row["type"] for row in body["transactions"]] == ["consume", "correction"]
    assert body["transactions"][0]["balanceAfter"] == 99.0
    assert len(desktop.get("/user/bills", {"page": 1, "pageSize": 2}).json()["bills"]) == 2
    assert desktop.get("/user/bills", {"page": 3, "pageSize": 2}).json()["bills"] == []
    assert desktop.get("/user/bills", {"page": 0}).status_code == 422
    assert desktop.get("/billing/balance").json() == {
        "balance": 97.0, "held": 0.0, "available": 97.0, "currency": "CNY",
    }  # fmt: skip
    assert [row["type"] for row in desktop.get("/billing/records").json()["records"]][:1] == ["consume"]


# --- the spreadsheet ----------------------------------------------------------------------------------------


def table(answer: Any) -> list[list[str]]:
    content = b"".join(answer.streaming_content)
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))


def test_entries_as_a_spreadsheet(owner: User, owner_api: Client) -> None:
    wallet = wallet_of(owner)
    render(wallet, "0.0037", spender=owner, name="灯笼")
    answer = owner_api.get("/billing/transactions/export")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="transactions.csv"'
    head, first, second = table(answer)
    assert head[:4] == ["序号", "创建时间", "类型", "金额"]
    assert (first[0], first[2], first[3]) == ("2", "调账", "50.00")
    assert second[3] == "50.00"


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "＝1"])
def test_no_text_becomes_a_formula(owner: User, owner_api: Client, text: str) -> None:
    post_entry(
        wallet=wallet_of(owner), kind=Kind.CHARGEBACK, amount=Decimal("-1.5"), key="k", description=text
    )
    row = table(owner_api.get("/billing/transactions/export", {"type": "chargeback"}))[1]
    assert (row[3], row[7]) == ("-1.50", f"'{text}")


def test_a_long_spreadsheet_is_read_in_short_statements(
    owner: User,
    owner_api: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    wallet = wallet_of(owner)
    for _time in range(7):
        fill(wallet, "1")
    monkeypatch.setattr(selectors, "BATCH", 3)
    answer = owner_api.get("/billing/transactions/export")
    with django_assert_num_queries(4):
        rows = table(answer)[1:]
    assert [int(row[0]) for row in rows] == list(range(9, 0, -1))


# --- what it went to ----------------------------------------------------------------------------------------


def test_spending_of_a_team_by_everything(team: Team, owner: User, owner_api: Client) -> None:
    wallet, painter = wallet_of(team), User.objects.get(username="team_member")
    dear = render(wallet, "7", spender=painter, engine="maya", name="dear")
    render(wallet, "2", spender=owner, name="cheap")
    render(wallet, "1", spender=painter, name="cheap")
    charge_now(
        wallet=wallet, kind=Bill.Kind.STORAGE, charges=[Charge("s", Decimal(1), Decimal(3))], key="s",
        description="Storage",
    )  # fmt: skip
    post_entry(wallet=wallet, kind=Kind.REFUND, amount=Decimal(4), key="r", description="back", task_id=dear)

    def told(by: str) -> dict[str, Any]:
        body = owner_api.get("/billing/spending", {"wallet": str(wallet.pk), "by": by}).json()
        assert (body["spent"], body["refunded"], body["currency"]) == (13.0, 4.0, "CNY")
        return {row["name"]: (row["spent"], row["refunded"]) for row in body["rows"]}

    today = day_of(timezone.now())
    by_day = told("day")
    assert len(by_day) == 30
    assert {day: row for day, row in by_day.items() if any(row)} == {str(today): (13.0, 4.0)}
    assert told("engine") == {"maya": (7.0, 4.0), "blender": (3.0, 0.0), "": (3.0, 0.0)}
    assert told("member") == {"team_member": (8.0, 4.0), "owner": (2.0, 0.0), "": (3.0, 0.0)}
    assert told("task") == {"Render dear": (7.0, 4.0), "Render cheap": (1.0, 0.0), "Storage": (3.0, 0.0)}


def test_a_charge_belongs_to_the_day_on_which_it_was_taken(owner: User, owner_api: Client) -> None:
    render(wallet_of(owner), "5", spender=owner)
    entry = LedgerEntry.objects.get(wallet__user=owner, kind=Kind.CONSUME)
    set_created(entry, datetime.fromisoformat("2026-03-31T16:30:00Z"))
    body = owner_api.get("/billing/spending", {"from": "2026-03-31", "to": "2026-04-01"}).json()
    assert [(row["key"], row["spent"]) for row in body["rows"]] == [("2026-03-31", 0.0), ("2026-04-01", 5.0)]


@pytest.mark.parametrize(
    "query",
    [{"by": "moon"}, {"from": "2026-02-01", "to": "2026-01-01"}, {"from": "2020-01-01", "to": "2026-01-01"}],
)
def test_a_spending_that_cannot_be(owner_api: Client, query: dict[str, str]) -> None:
    assert owner_api.get("/billing/spending", query).status_code == 422


# --- cost ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "budget"),
    [
        ("/billing/wallets", 3),
        ("/billing/transactions", 4),
        ("/billing/bills", 5),
        ("/billing/holds", 4),
        ("/billing/gifts", 4),
        ("/billing/spending?by=member", 4),
        ("/user/transactions", 4),
        ("/billing/records", 4),
    ],
)
def test_lists_take_a_constant_number_of_queries(
    owner: User, owner_api: Client, path: str, budget: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for _time in range(4):
        render(wallet_of(owner), "1", spender=owner)
        give(wallet=wallet_of(owner), amount=Decimal(1), key=str(new_id()), description="g")
        fill(wallet_of(create_team(owner=owner, name="t")), "1")
    with django_assert_num_queries(budget):
        assert owner_api.get(path).status_code == 200
