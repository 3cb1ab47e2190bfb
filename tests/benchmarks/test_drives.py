"""The benchmark of drives asks what it says, of a drive that is as it says. Nothing is timed here."""

import pytest
from django.db.models import Count

from accounts.models import User
from benchmarks.drives import corpus
from benchmarks.drives.workloads import Workloads
from drives.models import Drive, File, Folder
from drives.services.drives import default_drive
from tests.factories import token_of


@pytest.mark.django_db(transaction=True)
def test_it_asks_a_drive_of_the_size_it_says(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"FOLDERS": 31, "FILES": 400, "IN_ONE": 100, "BLOCK": 10, "BRANCHES": 1}
    for name, value in sizes.items():
        monkeypatch.setattr(corpus, name, value)
    default_drive(user=owner)
    Drive.objects.update(total_size=None)
    work = Workloads(owner.username, token_of(owner))
    counts = Folder.objects.annotate(count=Count("files")).values_list("path", "count")
    assert dict(counts)[work.made.full] == 100
    assert {count for path, count in counts if path != work.made.full} == {10}
    assert {path.count("/") for path in work.made.deep} == {8}
    assert File.objects.filter(name__contains=corpus.RARE).count() == 5
    rows = work.run(rounds=1, moves=2)
    assert [len(row.database) for row in rows] == [1] * 13 + [2] * 3
    assert Folder.objects.get(pk=work.made.subtree).path == work.made.folders[0]
