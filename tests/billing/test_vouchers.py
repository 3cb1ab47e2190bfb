"""Vouchers at their door: a code becomes one gift, for whom and as often as its batch says."""

from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import settings as live_settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import TeamMember, User
from accounts.services.teams import create_team
from billing.errors import VoucherExpired, VoucherLimitReached, VoucherRedeemed, VoucherRevoked
from billing.models import Gift, LedgerEntry, Redemption, Voucher
from billing.services.gifts import expire_gifts
from billing.services.ledger import wallet_of
from billing.services.voucher_batches import expire_batches, hashes_of, revoke_batch
from billing.services.vouchers import redeem
from common.errors import DomainError
from tests.billing.audit import violations
from tests.billing.issuing import asked, issued, person
from tests.billing.test_gifts import charge, gift
from tests.billing.test_ledger import refuses_to_truncate
from tests.conftest import Client
from tests.factories import make_user
from tests.racing import race, somebody_waits_for_a_lock, wait_for

pytestmark = pytest.mark.django_db


def sent(client: Client, code: str, key: str = "") -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/billing/vouchers/redeem", {"code": code}, headers=headers)


def refused(client: Client, code: str) -> tuple[int, str]:
    """The refusal, by which no money was moved."""
    entries = LedgerEntry.objects.count()
    answer = sent(client, code)
    assert LedgerEntry.objects.count() == entries
    assert Redemption.objects.count() == sum(Voucher.objects.values_list("uses", flat=True))
    return answer.status_code, answer.json()["code"]


def test_a_code_becomes_a_gift(owner: User, owner_api: Client) -> None:
    _batch, [code] = issued(name="秋季")
    answer = sent(owner_api, code)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["name"], body["currency"], body["suffix"]) == ("秋季", "CNY", code[-4:])
    assert (body["gift"]["amount"], body["gift"]["remaining"], body["gift"]["description"]) == (
        20.0,
        20.0,
        "代金券：秋季",
    )
    lot = Gift.objects.get(pk=body["gift"]["id"])
    assert lot.expires_at is not None
    assert timedelta(0) <= timezone.now() + timedelta(days=90) - lot.expires_at < timedelta(minutes=1)
    entry = LedgerEntry.objects.filter(wallet__user=owner).latest("sequence")
    voucher = Voucher.objects.get()
    assert (entry.kind, entry.amount, entry.gift_delta) == ("grant", 20, 20)
    assert entry.key == f"voucher:{voucher.pk}:1"
    assert (voucher.uses, lot.entry) == (1, entry)
    assert owner_api.get("/users/balance").json()["balance"] == 120.0
    [listed] = owner_api.get("/billing/vouchers").json()["vouchers"]
    assert listed == body
    assert owner_api.get("/billing/gifts").json()["gifts"][0] == body["gift"]
    assert violations() == []


def test_it_burns_as_other_gifts_do(settings: Any) -> None:
    settings.TRIAL_CREDIT = 0
    user = make_user(money="100")
    soon, late = gift(user, "5", 3), gift(user, "5", 300)
    _batch, [code] = issued()
    lot = redeem(user=user, code=code, ip="", now=timezone.now()).gift
    charge(user, "8")
    assert [Gift.objects.get(pk=each.pk).remaining for each in (soon, lot, late)] == [0, 17, 5]
    assert expire_gifts(now=timezone.now() + timedelta(days=91)) == 1
    wallet = wallet_of(user)
    assert (wallet.balance, wallet.gift) == (105, 5)
    assert violations() == []


@pytest.mark.parametrize(
    "spell",
    [
        str.lower,
        lambda code: code.replace("-", " "),
        lambda code: f" {code.replace('-', '')} ",
        lambda code: code.replace("0", "O").replace("1", "l"),
        lambda code: "".join(chr(ord(letter) + 0xFEE0) for letter in code),  # full width
    ],
)
def test_codes_are_read_as_people_write_them(owner_api: Client, spell: Any) -> None:
    _batch, [code] = issued(chosen="SPRING-2010-LOW", is_shared=True)
    assert sent(owner_api, spell(code)).status_code == 201


def test_codes_that_are_none(owner_api: Client, owner: User) -> None:
    asked()  # has no codes before it is approved and issued
    for code in ("0000-0000-0000-0000", "盛世云图", "'; --", "\x00a", "x" * 100):
        assert refused(owner_api, code) in ((404, "voucher_unknown"), (422, "validation_error"))
    for body in ({}, {"code": ""}, {"code": "x" * 101}, {"code": ["a"]}, {"code": None}):
        answer = owner_api.post("/billing/vouchers/redeem", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")


def test_a_code_outside_of_its_time(owner_api: Client) -> None:
    now = timezone.now()
    _batch, [early] = issued(valid_from=now + timedelta(hours=1))
    batch, [late] = issued()
    assert refused(owner_api, early) == (409, "voucher_not_yet_valid")
    owner = owner_api.user
    assert owner is not None
    with pytest.raises(DomainError) as refusal:
        redeem(user=owner, code=late, ip="", now=batch.valid_until)
    assert refusal.value.code == "voucher_expired"
    assert expire_batches(now=batch.valid_until) == 2
    assert expire_batches(now=batch.valid_until) == 0
    batch.refresh_from_db()
    assert (batch.status, batch.ended_at) == ("expired", batch.valid_until)
    with pytest.raises(DomainError) as refusal:
        redeem(user=owner, code=late, ip="", now=batch.valid_until)
    assert refusal.value.code == "voucher_expired"
    assert not Redemption.objects.exists()


def test_a_code_is_redeemed_once(owner_api: Client, stranger_api: Client) -> None:
    _batch, [code] = issued()
    assert sent(owner_api, code).status_code == 201
    assert refused(stranger_api, code) == (409, "voucher_redeemed")
    assert refused(owner_api, code) == (409, "voucher_redeemed")
    assert stranger_api.get("/billing/vouchers").json()["total"] == 0


def test_a_user_redeems_of_a_batch_as_often_as_it_says(owner_api: Client, stranger_api: Client) -> None:
    _batch, codes = issued(count=4, per_user_limit=2)
    assert [sent(owner_api, code).status_code for code in codes[:2]] == [201, 201]
    answer = sent(owner_api, codes[2])
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (
        409,
        "voucher_limit_reached",
        2,
    )
    assert sent(stranger_api, codes[2]).status_code == 201
    _other, [code] = issued()
    assert sent(owner_api, code).status_code == 201


def test_one_code_for_all(owner_api: Client, stranger_api: Client) -> None:
    batch, [code] = issued(is_shared=True, count=2, chosen="Autumn 2026")
    assert code == "Autumn 2026"
    assert sent(owner_api, "autumn2026").status_code == 201
    assert refused(owner_api, "autumn2026") == (409, "voucher_limit_reached")
    assert sent(stranger_api, "AUTUMN-2026").status_code == 201
    assert refused(Client(make_user()), "autumn2026") == (409, "voucher_redeemed")
    assert batch.vouchers.get().uses == 2
    assert violations() == []


def test_a_revoked_batch_gives_nothing_more(owner: User, owner_api: Client, stranger_api: Client) -> None:
    batch, codes = issued(count=2)
    assert sent(owner_api, codes[0]).status_code == 201
    revoke_batch(batch=batch, actor=person("voucher_maker"), reason="leaked")
    assert refused(stranger_api, codes[1]) == (409, "voucher_revoked")
    assert wallet_of(owner).gift == 70  # what it gave stays given


def test_who_issued_a_code_does_not_redeem_it() -> None:
    _batch, [code] = issued()
    for name in ("voucher_maker", "voucher_checker"):
        assert refused(Client(person(name)), code) == (403, "own_money")


def test_a_code_is_redeemed_for_a_team_by_who_manages_its_money(owner: User, owner_api: Client) -> None:
    team = create_team(owner=owner, name="灯笼")
    member, wallet = make_user(), wallet_of(team)
    TeamMember.objects.create(team=team, user=member, role="member")
    _batch, codes = issued(count=2)

    def send(client: Client, code: str) -> Any:
        return client.post("/billing/vouchers/redeem", {"code": code, "wallet_id": str(wallet.pk)})

    assert send(Client(member), codes[0]).status_code == 404
    assert send(owner_api, codes[0]).json()["gift"]["wallet_id"] == str(wallet.pk)
    assert (wallet_of(team).gift, wallet_of(owner).gift) == (20, 50)
    assert send(owner_api, codes[1]).json()["code"] == "voucher_limit_reached"
    assert violations() == []


def test_who_issued_a_code_gains_nothing_by_a_team(owner: User, owner_api: Client) -> None:
    team = create_team(owner=owner, name="灯笼")
    TeamMember.objects.create(team=team, user=person("voucher_checker"), role="viewer")
    _batch, [code] = issued()
    body = {"code": code, "wallet_id": str(wallet_of(team).pk)}
    assert owner_api.post("/billing/vouchers/redeem", body).json()["code"] == "own_money"
    assert not Redemption.objects.exists()


def test_points_go_into_their_own_wallet(owner: User, owner_api: Client) -> None:
    _batch, [code] = issued(currency="POINTS", gift_days=None)
    body = sent(owner_api, code).json()
    assert (body["currency"], body["gift"]["expires_at"]) == ("POINTS", None)
    assert (wallet_of(owner, "POINTS").gift, wallet_of(owner).balance) == (20, 100)


def test_a_key_redeems_once(owner_api: Client) -> None:
    _batch, codes = issued(count=2, per_user_limit=2)
    first, again = (sent(owner_api, codes[0], key="k") for _twice in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    other = sent(owner_api, codes[1], key="k")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert Redemption.objects.count() == 1


def test_guessing_ends_after_a_while(settings: Any, owner_api: Client, stranger_api: Client) -> None:
    settings.VOUCHER_GUESS_LIMITS = {"user": (3, 3600), "address": (5, 3600)}
    _batch, codes = issued(count=6, per_user_limit=6)
    for code in codes[:4]:  # a right one does not count
        assert sent(owner_api, code).status_code == 201
    for _try in range(3):
        assert refused(owner_api, "0000-0000-0000-0000") == (404, "voucher_unknown")
    assert refused(owner_api, codes[4]) == (429, "rate_limited")
    for _try in range(2):
        assert refused(stranger_api, "0000-0000-0000-0000") == (404, "voucher_unknown")
    assert refused(stranger_api, codes[4]) == (429, "rate_limited")


@pytest.mark.usefixtures("redis_away")
def test_guessing_is_not_let_through_while_nobody_counts(owner: User) -> None:
    _batch, [code] = issued()
    answer = sent(Client(owner), code)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert not Redemption.objects.exists()


def test_vouchers_ask_for_sign_in(anonymous: Client) -> None:
    for answer in (sent(anonymous, "x"), anonymous.get("/billing/vouchers")):
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_the_list_takes_a_constant_number_of_queries(
    owner: User, owner_api: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _batch, codes = issued(count=5, per_user_limit=5)
    for code in codes:
        redeem(user=owner, code=code, ip="", now=timezone.now())
    with django_assert_num_queries(3):
        assert len(owner_api.get("/billing/vouchers").json()["vouchers"]) == 5


# --- What is kept of a code ---


def test_the_database_does_not_tell_codes(owner_api: Client, settings: Any) -> None:
    _batch, codes = issued(count=3)
    sent(owner_api, codes[0], key="k")
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            for code in codes:
                for text in (code, code.replace("-", "")):
                    cursor.execute(
                        f'SELECT count(*) FROM "{table}" AS t WHERE t::text LIKE %s', [f"%{text}%"]
                    )
                    assert cursor.fetchone() == (0,), table
    # Nor can they be tried out by who has the table but not the key.
    before = hashes_of(codes[1])
    settings.SECRET_KEY = "another key of at least thirty-two characters"
    assert hashes_of(codes[1]) != before
    assert sent(owner_api, codes[1]).status_code in (401, 404)


def test_a_new_secret_key_keeps_the_codes(owner: User, settings: Any) -> None:
    _batch, [code] = issued()
    settings.SECRET_KEY_FALLBACKS = [live_settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of at least thirty-two characters"
    assert redeem(user=owner, code=code, ip="", now=timezone.now()).gift.amount == 20


def test_codes_are_random_and_of_one_form() -> None:
    _batch, codes = issued(count=2500)
    assert len(set(codes)) == Voucher.objects.count() == 2500
    assert all(len(code) == 19 and set(code) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-") for code in codes)


def test_a_batch_that_the_schedule_has_just_closed_is_expired(owner: User) -> None:
    """Whoever came before the end waited for the schedule, which came after it."""
    batch, [code] = issued()
    assert expire_batches(now=batch.valid_until) == 1
    with pytest.raises(VoucherExpired):
        redeem(user=owner, code=code, ip="", now=batch.valid_until - timedelta(seconds=1))


# --- Many at once ---


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_redeem_one_code_once() -> None:
    _batch, [code] = issued()
    users = [make_user() for _number in range(20)]
    before = LedgerEntry.objects.count()

    def act(number: int) -> object:
        try:
            return redeem(user=users[number], code=code, ip="", now=timezone.now())
        except VoucherRedeemed as error:
            return error

    found = race(20, act)
    assert sum(isinstance(each, Redemption) for each in found) == 1
    assert LedgerEntry.objects.count() == before + 1
    assert Gift.objects.filter(redemption__isnull=False).count() == 1
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_one_user_with_many_codes_at_once_stays_within_the_limit(owner: User) -> None:
    _batch, codes = issued(count=12, per_user_limit=2)

    def act(number: int) -> object:
        try:
            return redeem(user=owner, code=codes[number], ip="", now=timezone.now())
        except VoucherLimitReached as error:
            return error

    found = race(12, act)
    assert sum(isinstance(each, Redemption) for each in found) == 2
    assert wallet_of(owner).balance == 140
    assert sum(Voucher.objects.values_list("uses", flat=True)) == 2
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_a_revocation_waits_for_who_is_redeeming_and_then_holds() -> None:
    batch, [code] = issued(is_shared=True, count=20)
    users, redeemed = [make_user(), make_user()], Event()

    def act(number: int) -> object:
        if number == 0:
            with transaction.atomic():
                given = redeem(user=users[0], code=code, ip="", now=timezone.now())
                redeemed.set()
                wait_for(somebody_waits_for_a_lock)
            return given
        assert redeemed.wait(20)
        revoke_batch(batch=batch, actor=person("voucher_maker"), reason="leaked")
        # Whatever was given before is there to be seen by who revoked.
        seen = batch.redemptions.count()
        with pytest.raises(VoucherRevoked):
            redeem(user=users[1], code=code, ip="", now=timezone.now())
        return seen

    given, seen = race(2, act)
    assert isinstance(given, Redemption)
    assert seen == batch.redemptions.count() == 1
    assert violations() == []


# --- What PostgreSQL holds, whoever writes ---


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_voucherbatch SET amount = amount + 1",
        "UPDATE billing_voucherbatch SET count = count + 1",
        "UPDATE billing_voucherbatch SET per_user_limit = 9",
        "UPDATE billing_voucherbatch SET valid_until = valid_until + interval '1 day'",
        "UPDATE billing_voucherbatch SET checker_id = maker_id",
        "UPDATE billing_voucherbatch SET status = 'pending', checker_id = NULL",
        "UPDATE billing_voucherbatch SET status = 'revoked'",
        "DELETE FROM billing_voucherbatch",
        "UPDATE billing_voucher SET uses = 0",
        "UPDATE billing_voucher SET uses = 2",
        "UPDATE billing_voucher SET max_uses = 2",
        "UPDATE billing_voucher SET code_hash = 'x'",
        "DELETE FROM billing_voucher",
        "INSERT INTO billing_voucher (id, created_at, updated_at, code_hash, suffix, max_uses, uses, batch_id)"
        " SELECT gen_random_uuid(), now(), now(), 'x', 'AAAA', 1, 0, batch_id FROM billing_voucher",
        "UPDATE billing_redemption SET user_number = 2",
        "DELETE FROM billing_redemption",
        "INSERT INTO billing_redemption (id, created_at, updated_at, use_number, user_number, batch_id, gift_id,"
        " user_id, voucher_id) SELECT gen_random_uuid(), now(), now(), 2, 2, batch_id, gift_id, user_id, voucher_id"
        " FROM billing_redemption",
    ],
)  # fmt: skip
def test_postgresql_refuses(owner: User, statement: str) -> None:
    _batch, [code] = issued()
    redeem(user=owner, code=code, ip="", now=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
        assert cursor.rowcount != 0, "nothing was tried"
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert Voucher.objects.get().uses == 1


def test_redemptions_are_not_truncated() -> None:
    refuses_to_truncate("billing_redemption")


def test_a_redemption_is_what_its_gift_gave(owner: User) -> None:
    """Somebody else's gift, one of another amount, or one that no code gave, is no redemption."""
    batch, _codes = issued(is_shared=True, count=5)
    voucher, other = batch.vouchers.get(), make_user()
    for lot in (gift(owner, "20"), gift(owner, "19", key=f"voucher:{voucher.pk}:1"),
                gift(other, "20", key=f"voucher:{voucher.pk}:1")):  # fmt: skip
        with pytest.raises(IntegrityError, match="not what its gift is"), transaction.atomic():
            Voucher.objects.filter(pk=voucher.pk).update(uses=1)
            Redemption.objects.create(
                batch=batch, voucher=voucher, user=owner, gift=lot, use_number=1, user_number=1
            )
    assert not Redemption.objects.exists()


def test_a_use_is_a_redemption() -> None:
    """No code is used up by anything else."""
    issued(is_shared=True, count=5)
    for uses in (1, 2):
        with pytest.raises(IntegrityError, match="without its redemption"), transaction.atomic():
            Voucher.objects.update(uses=uses)
            connection.check_constraints()
    assert Voucher.objects.get().uses == 0
