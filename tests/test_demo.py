"""`manage.py demo`, which is what `make demo` runs, from end to end."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import OpenImageIO as oiio  # noqa: N813
import pytest

from common import processes
from common.embedded.layout import Layout
from tests.rendering.farm import REPOSITORY, SCENES, clean_environment, wait_until

pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for all demos, as for somebody who tries one scene after the other."""
    var = tmp_path_factory.mktemp("demo") / "var"
    yield var
    processes.end_owners(*Layout(var).token, grace=0)
    shutil.rmtree(var, ignore_errors=True)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    """Scenes that are not ours, somewhere else."""
    return Path(shutil.copytree(SCENES, tmp_path / "我的 scenes"))


def start(var: Path, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "manage.py"), "demo", *map(str, arguments)],
        env=clean_environment(var, **environment),
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def demo(var: Path, *arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Exit code and output; nothing of the platform may be left."""
    process = start(var, *arguments, **environment)
    output, _ = process.communicate(timeout=280)
    assert processes.owners(*Layout(var).token) == set()
    return process.returncode, output


def pictures(var: Path) -> list[oiio.ImageBuf]:
    found = [oiio.ImageBuf(str(path)) for path in sorted((var / "demo" / "frames").iterdir())]
    assert all(image.read(force=True) for image in found)
    return found


def test_the_example_scene_is_rendered_downloaded_and_paid(var: Path) -> None:
    code, output = demo(var, "--frames", "1-2")
    assert code == 0, output
    assert "10.00 CNY, pay at http://127.0.0.1" in output
    assert "balance 60.00 CNY" in output
    assert "charged 1.00 CNY" in output
    assert "live events while they were rendering" in output
    first, second = pictures(var)
    assert (first.spec().width, first.spec().height) == (320, 180)
    assert oiio.ImageBufAlgo.computePixelStats(first).max[0] > 0.1
    assert oiio.ImageBufAlgo.compare(first, second, 0.02, 0.02).nfail > 100


def test_a_scene_from_elsewhere_brings_its_libraries_and_textures(var: Path, scenes: Path) -> None:
    code, output = demo(var, "--scene", scenes / "library.blend", "--frames", "3-4")
    assert code == 0, output
    assert "part.blend" in output
    assert "checker.png" in output
    first, second = pictures(var)
    assert oiio.ImageBufAlgo.compare(first, second, 0.02, 0.02).nfail > 100


def test_a_texture_that_is_not_there_is_named(var: Path, scenes: Path) -> None:
    code, output = demo(var, "--scene", scenes / "missing.blend", "--frames", "1")
    assert code != 0
    assert "absent.png" in output
    assert "Traceback" not in output


def test_without_blender_the_demo_says_so(tmp_path: Path) -> None:
    """And says so before it starts anything."""
    code, output = demo(tmp_path / "var", YUNTU_ENGINES=str(tmp_path / "engines"))
    assert code != 0
    assert "Blender is not installed" in output
    assert "Traceback" not in output
    assert not Layout(tmp_path / "var").postgres.exists()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_nothing(var: Path, signum: int) -> None:
    token = Layout(var).token
    process = start(var)
    try:
        wait_until(lambda: len(processes.owners(*token)) > 5, 120, "the platform starts")
        os.kill(process.pid, signum)
        output, _ = process.communicate(timeout=60)
        wait_until(lambda: not processes.owners(*token), 30, "the platform stops")
    finally:
        process.kill()
    assert "Traceback" not in output
