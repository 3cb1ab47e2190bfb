"""Users of the old service: read from its table as CSV, each once, with the money they had there."""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.errors import PhoneTaken
from accounts.models import PHONE_PATTERN, USERNAME_PATTERN, AuditEvent, User
from accounts.services import audit
from accounts.services.registration import taken
from accounts.signals import user_registered
from billing.models import LedgerEntry
from billing.services.ledger import FEN, LARGEST_CREDIT, post_entry, wallet_of
from common.errors import DomainError
from common.ids import digest

COLUMNS = ("username", "phone", "password_hash", "balance", "member_level")
SOURCE = "import"
BLOCK = 1 << 20
# 2a, 2b and 2y say which repairs of old programs a hash has seen; for valid UTF-8 they are the same. The last
# characters of salt and hash have bits that are never set; a hash that has them matches nothing.
BCRYPT = re.compile(
    r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]", re.ASCII
)


class FileRefused(Exception):
    """The file as a whole cannot be read; nothing was imported."""


class RowRefused(Exception):
    """A row that cannot be imported; its text says why and holds nothing of a secret."""


class Result(StrEnum):
    IMPORTED = "imported"
    UNCHANGED = "unchanged"
    DIFFERENT = "different"
    """Imported before, with another balance than the file has now, which is not applied."""
    REFUSED = "refused"


@dataclass(frozen=True)
class Outcome:
    line: int
    username: str
    result: Result
    reason: str = ""


@dataclass(frozen=True)
class OldUser:
    username: str
    phone: str | None
    password_hash: str
    balance: Decimal
    member_level: int


def import_users(path: Path, *, dry_run: bool = False) -> Iterator[Outcome]:
    """Import the users of a CSV row by row, each in a transaction of its own; what became of each, in their order.

    A user who was imported before is left as they are, whatever they are called by now. `dry_run` changes nothing.
    Raises FileRefused before anything is imported: not UTF-8, other columns than COLUMNS.
    """
    require_utf8(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        places = places_of(reader)
        earlier, seen = imported_before(), set[str]()
        while True:
            try:
                cells = next(reader, None)
                if cells is None:
                    return
                if cells:
                    yield import_row(reader.line_num, cells, places, earlier, seen, dry_run)
            except csv.Error as error:
                yield Outcome(reader.line_num, "", Result.REFUSED, f"malformed: {error}")


def require_utf8(path: Path) -> None:
    """Raises FileRefused. The whole file is looked at first, so that half of it is never imported."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK):
                lines += decoder.decode(block).count("\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            lines += bytes(error.object[: error.start]).count(b"\n")
            raise FileRefused(
                f"Line {lines} is not UTF-8; nothing was imported. "
                "A file of Excel in Chinese is GB18030: convert it with `iconv -f GB18030 -t UTF-8`."
            ) from error


def places_of(reader: Iterator[list[str]]) -> dict[str, int]:
    """Where each column stands. Raises FileRefused."""
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise FileRefused(f"The header is malformed: {error}.") from error
    if sorted(header) != sorted(COLUMNS):
        raise FileRefused(f"The first line must name the columns {', '.join(COLUMNS)}, each once.")
    return {name: header.index(name) for name in COLUMNS}


def imported_before() -> dict[str, str]:
    """Users of earlier imports by the digest of their old name, with the balance they came with."""
    events = AuditEvent.objects.filter(action=AuditEvent.Action.REGISTERED, after__source=SOURCE)
    return dict(events.values_list("after__key", "after__balance"))


def import_row(
    line: int,
    cells: list[str],
    places: dict[str, int],
    earlier: dict[str, str],
    seen: set[str],
    dry_run: bool,
) -> Outcome:
    name = ""
    try:
        if len(cells) != len(COLUMNS):
            raise RowRefused(f"{len(cells)} columns instead of {len(COLUMNS)}")
        values = {column: cells[place].strip() for column, place in places.items()}
        # Only what is a username stands in the report: a cell of anything else may be a formula to Excel.
        name = values["username"] if re.fullmatch(USERNAME_PATTERN, values["username"]) else ""
        old = checked(values)
        once(old, seen)
        balance = earlier.get(digest(old.username))
        if balance is None:
            create(old, dry_run)
            return Outcome(line, name, Result.IMPORTED)
    except RowRefused as refusal:
        return Outcome(line, name, Result.REFUSED, str(refusal))
    if balance == text_of(old.balance):
        return Outcome(line, name, Result.UNCHANGED)
    reason = f"imported before with a balance of {balance}; {text_of(old.balance)} is not applied"
    return Outcome(line, name, Result.DIFFERENT, reason)


def checked(values: dict[str, str]) -> OldUser:
    """The row's user. Raises RowRefused."""
    username, phone, password_hash = values["username"], values["phone"], values["password_hash"]
    if any("\0" in value for value in values.values()):
        raise RowRefused("holds a NUL")
    if not re.fullmatch(USERNAME_PATTERN, username):
        raise RowRefused("username: 3 to 50 letters, digits or underscores are needed")
    if phone and not re.fullmatch(PHONE_PATTERN, phone):
        raise RowRefused("phone: not a mobile number of eleven digits")
    if username.isdigit() and username != phone:
        raise RowRefused("username: one of digits must be the user's own phone")
    if not BCRYPT.fullmatch(password_hash):
        raise RowRefused("password_hash: not a bcrypt hash ($2a$, $2b$ or $2y$, cost 4 to 14)")
    if not re.fullmatch("[0-3]", values["member_level"]):
        raise RowRefused("member_level: 0, 1, 2 or 3 is needed")
    balance = amount_of(values["balance"])
    return OldUser(username, phone or None, password_hash, balance, int(values["member_level"]))


def amount_of(text: str) -> Decimal:
    """Yuan in whole fen. Raises RowRefused."""
    if not re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", text):
        raise RowRefused("balance: not an amount")
    amount = Decimal(text)
    if amount < 0:
        raise RowRefused("balance: negative")
    if amount > LARGEST_CREDIT:
        raise RowRefused(f"balance: more than {LARGEST_CREDIT}")
    if amount % FEN:
        raise RowRefused("balance: more than two decimals")
    return amount


def text_of(amount: Decimal) -> str:
    return f"{amount:.2f}"


def once(old: OldUser, seen: set[str]) -> None:
    """Raises RowRefused for a name or phone that an earlier line has, too."""
    names = {f"username {old.username}"} | ({f"phone {old.phone}"} if old.phone else set())
    if again := names & seen:
        raise RowRefused(f"{min(again).partition(' ')[0]}: stands in an earlier line of the file, too")
    seen |= names


def create(old: OldUser, dry_run: bool) -> None:
    """Create the user as they were, without trial credit. Raises RowRefused."""
    try:
        with transaction.atomic():
            refuse_if_taken(old)
            user = User(
                username=old.username,
                phone=old.phone,
                password=f"bcrypt${old.password_hash}",
                member_level=old.member_level,
            )
            # Not `save`: that would welcome them as new, with what a new user gets.
            User.objects.bulk_create([user])
            user_registered.send(sender=User, user=user, imported=True)
            bring_balance(user, old.balance)
            after = {"source": SOURCE, "key": digest(old.username), "balance": text_of(old.balance)}
            audit.record(AuditEvent.Action.REGISTERED, user=user, target=user, after=after)
            transaction.set_rollback(dry_run)
    except IntegrityError as error:
        raise RowRefused(reason_of(taken(error))) from error


def refuse_if_taken(old: OldUser) -> None:
    holders = User.objects.filter(Q(username=old.username) | Q(phone=old.phone or ""))
    for username, phone in holders.values_list("username", "phone"):
        if (username, phone) == (old.username, old.phone):
            raise RowRefused("username: has registered here already; the balance is to be credited by hand")
        raise RowRefused(f"{'username' if username == old.username else 'phone'}: taken by another user")


def reason_of(refusal: DomainError) -> str:
    return f"{'phone' if isinstance(refusal, PhoneTaken) else 'username'}: taken by another user"


def bring_balance(user: User, balance: Decimal) -> None:
    """A grant and no recharge: no payment on this platform stands behind it, and those are matched one to one.

    The key is the same for all, one entry a wallet; names and phones have no place in entries that stay for ever.
    """
    if balance:
        post_entry(
            wallet=wallet_of(user),
            kind=LedgerEntry.Kind.GRANT,
            amount=balance,
            key=SOURCE,
            description=_("Balance brought over from the old service"),
        )
