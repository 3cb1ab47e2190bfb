"""The benchmark of the back office has the rows that it says, and its pages are there. Nothing is timed here."""

import pytest

from accounts.models import User
from benchmarks.admin import corpus
from benchmarks.admin.__main__ import measure
from benchmarks.admin.first_rows import make_first_rows
from billing.models import LedgerEntry, Wallet
from rendering.models import RenderJob


@pytest.mark.django_db(transaction=True)
def test_it_asks_for_pages_over_rows_of_the_size_it_says() -> None:
    make_first_rows()
    corpus.fill(corpus.Size(users=20, jobs=10, entries=30))
    assert User.objects.filter(username__startswith="bench_").count() == 20
    assert Wallet.objects.filter(user__username__startswith="bench_").count() == 20
    assert RenderJob.objects.filter(task_name__startswith="shot").count() == 10
    assert LedgerEntry.objects.filter(key__startswith="bench:").exclude(key="bench:first").count() == 30
    rows = measure(rounds=1)
    assert len(rows) > 10
    assert {int(row[2]) for row in rows[1:]} <= set(range(2, 21))
