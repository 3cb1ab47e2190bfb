"""manage.py import_users: users of the old service, each once, with password and money."""

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from django.contrib.auth.hashers import identify_hasher
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, User
from accounts.services import deletion
from billing.models import LedgerEntry, Wallet
from billing.services.imports import COLUMNS
from config import settings as real_settings
from drives.models import Drive
from tests.billing.audit import violations
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race

PASSWORD = "old-Lantern-7"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
ROW = {
    "username": "lin_artist",
    "phone": "13912345678",
    "password_hash": HASH,
    "balance": "12.34",
    "member_level": "2",
}
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean_database(db: None) -> None:
    pass


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A CSV of rows that differ from ROW as they say."""

    def write(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS, encoding: str = "utf-8") -> Path:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows({**ROW, **row} for row in rows)
        path = tmp_path / "users.csv"
        path.write_bytes(text.getvalue().encode(encoding))
        return path

    return write


def run(path: Path, *options: str) -> tuple[str, str, bool]:
    """What the command says on both channels, and whether it ended well."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_users", str(path), *options, stdout=out, stderr=err)
    except CommandError as error:
        return out.getvalue(), err.getvalue() + str(error), False
    return out.getvalue(), err.getvalue(), True


def counts(imported: int = 0, unchanged: int = 0, different: int = 0, refused: int = 0) -> str:
    return f"{imported} imported, {unchanged} unchanged, {different} different, {refused} refused.\n"


# --- Who is imported --------------------------------------------------------------------------------------


def test_an_old_user_is_whole(write: Write) -> None:
    assert run(write({})) == (counts(imported=1), "", True)
    user = User.objects.get()
    assert (user.username, user.phone, user.member_level, user.is_active) == (
        "lin_artist",
        "13912345678",
        2,
        True,
    )
    assert (user.is_staff, user.is_superuser, user.is_guest, user.email) == (False, False, False, None)
    assert user.password == f"bcrypt${HASH}"
    [entry] = LedgerEntry.objects.all()  # no trial credit
    assert (entry.kind, entry.amount, entry.key) == (LedgerEntry.Kind.GRANT, Decimal("12.34"), "import")
    assert Wallet.objects.get(user=user).balance == Decimal("12.34")
    assert violations() == []
    assert Drive.objects.get().user == user
    [event] = AuditEvent.objects.filter(user=user)
    assert (event.action, event.actor) == (AuditEvent.Action.REGISTERED, None)
    assert (event.after["source"], event.after["balance"]) == ("import", "12.34")
    assert HASH not in str(AuditEvent.objects.values())
    assert "lin_artist" not in str(event.after)


@pytest.mark.parametrize("kind", ["2a", "2b", "2y"])
def test_they_sign_in_with_the_old_password_which_is_then_hashed_anew(
    write: Write, settings: Any, kind: str
) -> None:
    settings.PASSWORD_HASHERS = real_settings.PASSWORD_HASHERS
    salt = bcrypt.gensalt(4).decode().replace("2b", kind)
    old_hash = bcrypt.hashpw(PASSWORD.encode(), salt.encode()).decode()
    assert old_hash.startswith(f"${kind}$04$")
    assert run(write({"password_hash": old_hash}))[2]
    wrong = Client().post("/auth/login", {"username": "lin_artist", "password": f"{PASSWORD}x"})
    assert wrong.status_code == 401
    assert User.objects.get().password == f"bcrypt${old_hash}"

    answer = Client().post("/auth/login", {"phone": "13912345678", "password": PASSWORD})
    assert (answer.status_code, answer.json()["user"]["balance"]) == (200, 12.34)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert Client().get("/users/balance", headers=headers).json()["available"] == 12.34
    assert len(Client().get("/drives", headers=headers).json()["drives"]) == 1

    upgraded = User.objects.get().password
    assert identify_hasher(upgraded).algorithm == "bcrypt_sha256"
    again = Client().post("/auth/login", {"username": "lin_artist", "password": PASSWORD})
    assert again.status_code == 200
    assert User.objects.get().password == upgraded


def test_without_phone_without_money_and_with_digits_for_a_name(write: Write) -> None:
    path = write(
        {"phone": "", "balance": "0"},
        {"username": "13800001111", "phone": "13800001111", "balance": "0.00", "member_level": "0"},
    )
    assert run(path) == (counts(imported=2), "", True)
    assert User.objects.get(username="lin_artist").phone is None
    assert not LedgerEntry.objects.exists()
    assert Wallet.objects.count() == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_columns_in_any_order_with_and_without_a_mark(write: Write, encoding: str) -> None:
    path = write({}, columns=tuple(reversed(COLUMNS)), encoding=encoding)
    assert run(path) == (counts(imported=1), "", True)


def test_windows_lines_spaces_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    rows = [
        ", ".join(COLUMNS),
        "",
        f' a_user , 13912345678 ,"{HASH}", 1.5 , 1 ',
        "",
        f"b_user,,{HASH},10.000,0",
    ]
    path.write_bytes("\r\n".join(rows).encode())
    assert run(path) == (counts(imported=2), "", True)
    assert list(LedgerEntry.objects.order_by("amount").values_list("amount", flat=True)) == [
        Decimal("1.5"), Decimal(10),
    ]  # fmt: skip


# --- Run again --------------------------------------------------------------------------------------------


def test_run_again_it_changes_nothing(write: Write) -> None:
    path = write({}, {"username": "second", "phone": "", "balance": "0"})
    assert run(path)[2]
    before = [
        list(model.objects.order_by("pk").values()) for model in (User, Wallet, LedgerEntry, AuditEvent)
    ]
    assert run(path) == (counts(unchanged=2), "", True)
    assert [
        list(model.objects.order_by("pk").values()) for model in (User, Wallet, LedgerEntry, AuditEvent)
    ] == before


def test_what_is_new_in_the_file_is_added(write: Write) -> None:
    assert run(write({}))[2]
    path = write({}, {"username": "second", "phone": ""})
    assert run(path) == (counts(imported=1, unchanged=1), "", True)


def test_another_balance_is_told_and_not_applied(write: Write, tmp_path: Path) -> None:
    assert run(write({}))[2]
    out, err, well = run(write({"balance": "99.00"}))
    assert (out, well) == (counts(different=1), True)
    assert err == "line 2: lin_artist: imported before with a balance of 12.34; 99.00 is not applied\n"
    assert Wallet.objects.get().balance == Decimal("12.34")
    report = tmp_path / "report.csv"
    assert run(write({"balance": "99.00"}), "--report", str(report))[1] == ""
    assert list(csv.reader(report.open()))[1][:3] == ["2", "lin_artist", "different"]


def test_a_user_who_has_changed_since_is_still_the_same(write: Write) -> None:
    path = write({})
    assert run(path)[2]
    User.objects.update(username="other_name", phone="13700000000", password="x", member_level=0)
    assert run(path) == (counts(unchanged=1), "", True)
    assert User.objects.get().username == "other_name"
    # Nor does the row come back for one who is gone.
    user = User.objects.get()
    User.objects.update(deletion_due_at=user.created_at)
    assert deletion.delete_due(now=user.created_at) == 1
    assert run(path) == (counts(unchanged=1), "", True)
    assert User.objects.count() == 1


def test_who_registered_here_meanwhile_is_left_to_a_person(write: Write) -> None:
    make_user(username="lin_artist")
    User.objects.update(phone="13912345678")
    out, err, well = run(write({}))
    assert (out, well) == (counts(refused=1), False)
    assert "has registered here already" in err
    assert LedgerEntry.objects.filter(key="import").count() == 0


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_import_each_once(write: Write) -> None:
    path = write(*({"username": f"user_{number}", "phone": "", "balance": "5"} for number in range(30)))
    race(2, lambda number: run(path))
    assert User.objects.count() == LedgerEntry.objects.count() == AuditEvent.objects.count() == 30
    assert violations() == []


# --- Rows that are refused --------------------------------------------------------------------------------

BAD = {
    "bad name": ({"username": "lin artist"}, "username: 3 to 50"),
    "short name": ({"username": "ab"}, "username: 3 to 50"),
    "no name": ({"username": ""}, "username: 3 to 50"),
    "Chinese name": ({"username": "林艺术"}, "username: 3 to 50"),
    "name of a formula": ({"username": "=1+1"}, "username: 3 to 50"),
    "somebody's number": ({"username": "13800001111"}, "username: one of digits"),
    "digits without a phone": ({"username": "13800001111", "phone": ""}, "username: one of digits"),
    "bad phone": ({"phone": "12345678901"}, "phone: not a mobile"),
    "phone with a country": ({"phone": "+8613912345678"}, "phone: not a mobile"),
    "wide phone": ({"phone": "１３９１２３４５６７８"}, "phone: not a mobile"),
    "no hash": ({"password_hash": ""}, "password_hash: not"),
    "clear password": ({"password_hash": "hunter2"}, "password_hash: not"),
    "other hash": ({"password_hash": "$2x$" + HASH[4:]}, "password_hash: not"),
    "cost of a second": ({"password_hash": HASH.replace("$04$", "$15$")}, "password_hash: not"),
    "no cost": ({"password_hash": HASH.replace("$04$", "$03$")}, "password_hash: not"),
    "cut hash": ({"password_hash": HASH[:-1]}, "password_hash: not"),
    "long hash": ({"password_hash": HASH + "a"}, "password_hash: not"),
    "impossible end": ({"password_hash": HASH[:-1] + "/"}, "password_hash: not"),
    "impossible salt": ({"password_hash": HASH[:28] + "/" + HASH[29:]}, "password_hash: not"),
    "negative": ({"balance": "-0.01"}, "balance: negative"),
    "over-precise": ({"balance": "0.001"}, "balance: more than two decimals"),
    "huge": ({"balance": "10000000.01"}, "balance: more than 10000000"),
    "astronomic": ({"balance": "9" * 40}, "balance: not an amount"),
    "exponent": ({"balance": "1e3"}, "balance: not an amount"),
    "infinite": ({"balance": "Infinity"}, "balance: not an amount"),
    "no balance": ({"balance": ""}, "balance: not an amount"),
    "with a comma": ({"balance": "1,000.00"}, "balance: not an amount"),
    "wide digits": ({"balance": "１２"}, "balance: not an amount"),
    "bad level": ({"member_level": "4"}, "member_level:"),
    "level in words": ({"member_level": "pro"}, "member_level:"),
    "NUL": ({"username": "lin\0artist"}, "holds a NUL"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_refused_and_the_others_are_imported(write: Write, tmp_path: Path, name: str) -> None:
    change, reason = BAD[name]
    good = {"username": "good_one", "phone": "", "balance": "1"}
    report = tmp_path / "refused.csv"
    out, err, well = run(write(change, good), "--report", str(report))
    assert (out, err, well) == (counts(imported=1, refused=1), "1 rows were refused.", False)
    assert User.objects.get().username == "good_one"
    [header, row] = list(csv.reader(report.open(newline="")))
    assert header == ["line", "username", "result", "reason"]
    assert (row[0], row[2]) == ("2", "refused")
    assert row[3].startswith(reason)
    content = report.read_text()
    assert HASH not in content
    assert "hunter2" not in content
    assert not row[1].startswith("=")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"phone": ""}, "username: stands in"),
        ({"username": "another"}, "phone: stands in"),
        ({}, "phone: stands in"),
    ],
)
def test_twice_in_the_file(write: Write, other: dict[str, str], reason: str) -> None:
    out, err, _well = run(write({}, other))
    assert out == counts(imported=1, refused=1)
    assert err.startswith(f"line 3: {other.get('username', 'lin_artist')}: {reason}")


@pytest.mark.parametrize("change", [{"username": "lin_artist"}, {"phone": "13912345678"}])
def test_taken_by_another(write: Write, change: dict[str, str]) -> None:
    make_user()
    User.objects.update(**change)
    before = list(User.objects.values())
    out, err, well = run(write({}))
    assert (out, well) == (counts(refused=1), False)
    assert f"{next(iter(change))}: taken by another user" in err
    assert list(User.objects.values()) == before


@pytest.mark.parametrize(
    "line",
    ["a_user,13912345678", f"a_user,,{HASH},1,0,more", 'a_user,"', 'a_user,"x"y,1,2,3'],
    ids=["too few", "too many", "open quote", "text after a quote"],
)
def test_rows_of_another_shape(tmp_path: Path, line: str) -> None:
    path = tmp_path / "users.csv"
    good = f"good_one,,{HASH},1,0"
    path.write_text("\n".join([",".join(COLUMNS), good, line]) + "\n")
    out, err, well = run(path)
    assert (out, well) == (counts(imported=1, refused=1), False)
    assert "line 3" in err or "line 4" in err
    assert User.objects.get().username == "good_one"


# --- Files that are refused -------------------------------------------------------------------------------


def test_gb18030_is_refused_before_anything_is_imported(write: Write) -> None:
    path = write(
        *({"username": f"user_{number}", "phone": ""} for number in range(5)),
        {"username": "林"},
        encoding="gb18030",
    )
    out, err, well = run(path)
    assert (out, well) == ("", False)
    assert "Line 7 is not UTF-8" in err
    assert "iconv -f GB18030 -t UTF-8" in err
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "header",
    ["", "username,phone,password_hash,balance", "username,phone,password_hash,balance,level", '"username',
     "username,phone,password_hash,balance,member_level,balance", "lin_artist,13912345678,x,1,2"],
)  # fmt: skip
def test_another_header(tmp_path: Path, header: str) -> None:
    path = tmp_path / "users.csv"
    path.write_text(f"{header}\nlin_artist,,{HASH},1,0\n")
    out, err, well = run(path)
    assert (out, well) == ("", False)
    assert "header" in err or "columns" in err
    assert not User.objects.exists()


def test_files_that_are_none(tmp_path: Path, write: Write) -> None:
    assert run(tmp_path / "missing.csv")[2] is False
    assert run(tmp_path)[2] is False
    assert run(write({}, encoding="utf-16"))[2] is False
    assert run(write({}), "--report", str(tmp_path / "no" / "folder.csv"))[2] is False
    assert not User.objects.exists()


def test_a_dry_run_changes_nothing(write: Write) -> None:
    path = write({}, {"username": "x"}, {"username": "second", "phone": ""})
    out, err, well = run(path, "--dry-run")
    assert out == f"Dry run, nothing is changed: {counts(imported=2, refused=1)}"
    assert "line 3" in err
    assert not well
    assert not User.objects.exists()
    assert not AuditEvent.objects.exists()
    assert run(path)[0] == counts(imported=2, refused=1)
