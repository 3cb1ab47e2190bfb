"""What was downloaded is counted by what went out whole, and charged by the day where it has a price."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client as Browser

from accounts.models import Notification, User
from accounts.services.app_passwords import create as create_app_password
from accounts.services.teams import create_team
from billing.models import Bill, LedgerEntry, PriceRule
from billing.services.credits import credit
from billing.services.ledger import post_entry, wallet_of
from common.realtime import connection
from drives.links import link_to
from drives.models import Drive, TrafficSample
from drives.services.shares import create_share
from drives.services.traffic import count_traffic, counted_async, key_of
from drives.services.traffic_charge import UNPAID, charge_traffic
from tests.billing.audit import violations
from tests.conftest import Client
from tests.drives.dav import basic
from tests.factories import put
from tests.racing import race

pytestmark = pytest.mark.django_db
GIB = 1 << 30
TODAY = datetime.now(UTC)
DAY = timedelta(days=1)
LIGHT = b"light" * 100


def traffic_of(drive: Drive) -> int:
    return int(connection().hget(key_of(datetime.now(UTC).date()), drive.pk.hex) or 0)


def taken(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def outside(url: str) -> str:
    return url.removeprefix("http://testserver")


# --- What is counted ---


def test_a_download_counts_what_was_got_and_nothing_else(owner: User, owner_api: Client) -> None:
    file = put(owner, "/lantern.txt", LIGHT)
    url = outside(owner_api.get(f"/files/{file.pk}/download").json()["download_url"])
    assert traffic_of(file.drive) == 0  # a link is no download
    browser = Browser()
    whole = browser.get(url)
    assert traffic_of(file.drive) == 0  # nothing of it was taken yet
    assert (taken(whole), traffic_of(file.drive)) == (LIGHT, 500)
    part = browser.get(url, HTTP_RANGE="bytes=100-149")
    assert (len(taken(part)), traffic_of(file.drive)) == (50, 550)
    for nothing in (
        browser.head(url),
        browser.get(url, HTTP_IF_NONE_MATCH=whole["ETag"]),
        browser.get(url, HTTP_RANGE="bytes=900-"),
    ):
        taken(nothing)
    assert traffic_of(file.drive) == 550


def test_what_breaks_off_is_not_counted(
    owner: User, owner_api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drives.api.downloads.BLOCK", 100)
    file = put(owner, "/lantern.txt", LIGHT)
    url = outside(owner_api.get(f"/files/{file.pk}/download").json()["download_url"])
    answer: Any = Browser().get(url)
    blocks = iter(answer.streaming_content)
    assert sum(len(next(blocks)) for _each in range(5)) == 500
    for close in answer._resource_closers:  # the last block was asked for, and never known to be sent
        close()
    assert traffic_of(file.drive) == 0
    assert (len(taken(Browser().get(url, HTTP_RANGE="bytes=400-"))), traffic_of(file.drive)) == (100, 100)


def test_links_zips_and_network_drives_count_for_whose_drive_it_is(
    owner: User, owner_api: Client, stranger_api: Client
) -> None:
    file = put(owner, "/scenes/lantern.txt", LIGHT)
    _share, token = create_share(entry=file, actor=owner)
    shared = Client().post(f"/shared/{token}/download", {})
    assert len(taken(Browser().get(outside(shared.json()["download_url"])))) == 500
    assert traffic_of(file.drive) == 500
    folder = file.folder
    assert folder is not None
    archive = owner_api.get(f"/files/{folder.pk}/archive").json()
    assert len(taken(Browser().get(outside(archive["download_url"])))) == archive["size"]
    assert traffic_of(file.drive) == 500 + archive["size"]
    _row, password = create_app_password(user=owner, name="studio")
    header: dict[str, Any] = {"HTTP_AUTHORIZATION": basic(owner.username, password)}
    assert len(taken(Browser().get(f"/dav/{file.drive_id}/scenes/lantern.txt", **header))) == 500
    assert traffic_of(file.drive) == 1000 + archive["size"]


def test_under_asgi_the_same(owner: User) -> None:
    drive = owner.drives.get()

    async def blocks() -> AsyncIterator[bytes]:
        yield b"12345"
        yield b"678"

    async def serve(size: int) -> int:
        return sum([len(block) async for block in counted_async(blocks(), drive.pk, size)])

    assert (asyncio.run(serve(8)), traffic_of(drive)) == (8, 8)
    assert (asyncio.run(serve(9)), traffic_of(drive)) == (8, 8)  # shorter than was announced


def test_nginx_and_buckets_hand_out_what_is_not_counted(
    owner: User, owner_api: Client, settings: Any
) -> None:
    settings.ACCEL_REDIRECT_PREFIX = "/_blobs"
    file = put(owner, "/lantern.txt", LIGHT)
    url = outside(owner_api.get(f"/files/{file.pk}/download").json()["download_url"])
    assert "X-Accel-Redirect" in Browser().get(url)
    assert traffic_of(file.drive) == 0


def test_without_redis_a_download_is_served_and_not_counted(
    owner: User, owner_api: Client, redis_away: None
) -> None:
    file = put(owner, "/lantern.txt", LIGHT)
    url = link_to(file.blob_id, file.name, request=None, drive_id=file.drive_id)
    assert taken(Browser().get(url)) == LIGHT


# --- What is charged ---


@pytest.fixture
def seller(owner: User) -> User:
    """Traffic costs half a yuan a GB since a week ago."""
    PriceRule.objects.create(unit="traffic_gb", price=Decimal("0.5"), valid_from=TODAY - 7 * DAY)
    return owner


def downloaded(drive: Drive, size: int, days_ago: int) -> None:
    connection().hincrby(key_of((TODAY - days_ago * DAY).date()), drive.pk.hex, size)


def paid(user: User) -> list[Decimal]:
    bills = Bill.objects.filter(kind="traffic", wallet__user=user)
    return list(bills.order_by("created_at").values_list("amount", flat=True))


def test_without_a_price_it_is_free(owner: User) -> None:
    assert not PriceRule.objects.filter(unit="traffic_gb").exists()
    downloaded(owner.drives.get(), 9 * GIB, 1)
    assert (charge_traffic(now=TODAY), paid(owner)) == (0, [])
    assert TrafficSample.objects.get().size == 9 * GIB


def test_each_day_is_charged_once(seller: User) -> None:
    drive = seller.drives.get()
    second = Drive.objects.create(user=seller, name="second")
    downloaded(drive, 3 * GIB, 1)
    downloaded(second, GIB, 1)
    downloaded(drive, 2 * GIB, 2)
    count_traffic(drive.pk, 99 * GIB)  # today is not over
    assert [charge_traffic(now=TODAY) for _twice in range(2)] == [2, 0]
    assert sorted(paid(seller)) == [1, 2]
    line = Bill.objects.get(amount=2).lines.get()
    assert (line.quantity, line.unit_price) == (4, Decimal("0.5"))
    # Whatever is added to a day that is written down stays free.
    downloaded(drive, GIB, 1)
    assert charge_traffic(now=TODAY.replace(hour=23, minute=59)) == 0
    assert violations() == []


def test_days_without_a_price_from_beginning_to_end_are_free(seller: User) -> None:
    drive = seller.drives.get()
    for days_ago in (9, 7, 6):
        downloaded(drive, 2 * GIB, days_ago)
    # On the day on which the rule began it was not known what a download costs.
    assert (charge_traffic(now=TODAY), paid(seller)) == (1, [1])


def test_of_two_prices_of_a_day_the_lower_counts(seller: User) -> None:
    yesterday = (TODAY - DAY).replace(hour=12)
    PriceRule.objects.create(unit="traffic_gb", price=9, valid_from=yesterday)
    downloaded(seller.drives.get(), 2 * GIB, 1)
    assert (charge_traffic(now=TODAY), paid(seller)) == (1, [1])


def test_a_team_pays_for_its_drive(seller: User) -> None:
    team = create_team(owner=seller, name="studio")
    credit_team(team)
    downloaded(Drive.objects.create(team=team, name="shared"), 2 * GIB, 1)
    assert charge_traffic(now=TODAY) == 1
    assert (Bill.objects.get().wallet.team, paid(seller)) == (team, [])


def credit_team(team: Any) -> None:
    post_entry(wallet=wallet_of(team), kind=LedgerEntry.Kind.CORRECTION, amount=Decimal(5), key="t")


def test_what_cannot_be_paid_is_told_and_tried_again(seller: User) -> None:
    wallet = wallet_of(seller)
    size = int(wallet.balance * 2 + 10) * GIB
    downloaded(seller.drives.get(), size, 1)
    assert [charge_traffic(now=TODAY) for _twice in range(2)] == [0, 0]
    assert Notification.objects.filter(user=seller, title=UNPAID).count() == 1
    credit(user=seller, amount=Decimal(50), key="more", reason="test")
    assert charge_traffic(now=TODAY + DAY) == 1
    assert charge_traffic(now=TODAY + 40 * DAY) == 0
    assert violations() == []


@pytest.mark.django_db(transaction=True)
def test_by_eight_at_once_a_day_is_charged_once(seller: User) -> None:
    drive = seller.drives.get()
    for days_ago in range(1, 4):
        downloaded(drive, 2 * GIB, days_ago)
    race(8, lambda _number: charge_traffic(now=TODAY))
    assert paid(seller) == [1, 1, 1]
    assert violations() == []
