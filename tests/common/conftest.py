"""Folders and platforms for the tests of the embedded services."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from common import processes
from common.embedded.layout import Layout
from common.embedded.postgres import Postgres
from tests.common.platforms import OURS, Platform


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster that has never run; copying it is ten times quicker than making one."""
    template = Postgres(Layout(tmp_path_factory.mktemp("template")))
    template.prepare()
    return template.data


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A folder in which nothing has run yet."""
    return Layout(tmp_path / "var")


@pytest.fixture
def ready_layout(layout: Layout, cluster: Path) -> Layout:
    layout.postgres.mkdir(parents=True)
    subprocess.run(["cp", "-a", cluster, layout.postgres / "data"], check=True)
    return layout


@pytest.fixture
def platform(ready_layout: Layout) -> Iterator[Callable[..., Platform]]:
    """Starts platforms, by default in `ready_layout`; whatever is left of them is killed after the test."""
    started: list[Platform] = []

    def start(where: Layout = ready_layout, prefix: Sequence[str] = ()) -> Platform:
        started.append(Platform(where, prefix))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
        processes.end_owners(*each.layout.token, grace=0)
        shutil.rmtree(each.layout.sockets, ignore_errors=True)


@pytest.fixture
def no_servers_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
