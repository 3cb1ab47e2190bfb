"""The benchmark of uploads speaks our protocol still, and its figures are what they say. Nothing is timed here."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from accounts.models import User
from benchmarks.uploads.contestants import Plain
from benchmarks.uploads.corpus import Corpus
from benchmarks.uploads.report import Report
from benchmarks.uploads.wire import Connection, Refused
from benchmarks.uploads.yuntu import Yuntu, YuntuMd5, YuntuTus
from drives.models import File
from drives.services.drives import default_drive
from tests.factories import token_of
from tests.uploads.conftest import content_of
from uploads.models import TaskFile


@pytest.mark.django_db(transaction=True)
def test_it_uploads_as_it_says(owner: User, live_server: Any, tmp_path: Path) -> None:
    default_drive(user=owner)
    corpus = Corpus(tmp_path, large_size=6 << 20, small_count=3, small_size=100)
    corpus.create()
    platform: Any = SimpleNamespace(token=token_of(owner), var=tmp_path)
    ours, with_md5, by_tus = (kind(tmp_path, corpus, platform) for kind in (Yuntu, YuntuMd5, YuntuTus))
    for contestant in (ours, with_md5, by_tus):
        contestant.port = contestant.uploads_port = live_server.thread.port
    ours.large(2)
    assert content_of(File.objects.get()) == corpus.large.read_bytes()
    ours.small(2)
    assert sorted(content_of(file) for file in File.objects.filter(folder__name="small")) == sorted(
        path.read_bytes() for path in corpus.small
    )
    ours.small_batches(1)
    with_md5.prepare()
    with_md5.large(1)
    with_md5.large_again(1)
    with_md5.small_again(1)
    assert TaskFile.objects.filter(status=TaskFile.Status.SKIPPED).count() == 4
    by_tus.large(4)
    by_tus.small(1)
    assert File.objects.filter(folder__name="tus").count() == 7
    assert not TaskFile.objects.exclude(status__in=TaskFile.LANDED_STATUSES).exists()


@pytest.mark.django_db(transaction=True)
def test_a_refusal_ends_it(live_server: Any) -> None:
    connection = Connection(live_server.thread.port)
    with pytest.raises(Refused, match="401"):
        connection.ask("GET", "/api/v1/upload-tasks")
    connection.close()


def test_every_item_is_taken_once(tmp_path: Path, live_server: Any) -> None:
    plain = Plain(tmp_path, Corpus(tmp_path, 0, 0))
    plain.port, taken = live_server.thread.port, []
    plain.share(range(50), 4, lambda _connection, item: taken.append(item))
    assert sorted(taken) == list(range(50))


def test_tables() -> None:
    report = Report(peaks={"ours": 150_000_000})
    report.rates["ours", "large"] = [300, 100, 220]
    report.rates["peer", "large"] = [100, 100, 100]
    report.missing["other"] = "npm is not installed"
    assert report.table(["ours", "peer", "other"], ["large", "small"]).split("\n") == [
        "              large  small  peak MB",
        "ours  220 (100-300)      -      150",
        "peer  100 (100-100)      -        0",
        "other is missing: npm is not installed",
    ]
    assert report.ratios("ours", ["peer", "other"], ["large"]).split("\n") == [
        "                 large",
        "peer  2.20 (1.00-3.00)",
    ]
