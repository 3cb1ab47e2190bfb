"""The examples of docs/rendering.md, run in their order against a real server."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from accounts.services.sessions import open_session
from drives.services.blobs import store_chunks
from rendering.engines import Failure
from rendering.models import FrameOutput, RenderJob, RenderNode
from rendering.services import attempts
from rendering.services.jobs import cancel_job
from tests.factories import PASSWORD, make_user
from tests.rendering import makers
from tests.rendering.test_results import content, finished
from tests.uploads.servers import WebServer
from tests.uploads.test_docs_examples import assert_like

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "rendering.md"


def blocks_of(section: str, kinds: str) -> list[tuple[str, str]]:
    """Blocks of a section of the page, as (kind, text)."""
    text = PAGE.read_text().partition(f"\n## {section}")[2].partition("\n## ")[0]
    return re.findall(rf"^```({kinds})\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


BLOCKS = blocks_of("Tasks", "sh|json")
MARK = "=== block"
SAID = [
    "",
    None,
    "('pending', 24, '5.0.1')\n(18.0, 32.0)",
    None,
    "[('Lantern', 'frame')]\ndependency_cycle\n1\n('cancelled', 0.0)",
    "[(1, 'crashed')]\n  end\n(1, 1, 0.5)",
    "('queued', 0)\n('1-5', 5)\n2.0",
]
"""What each block of commands prints; None where the page shows it."""


@pytest.fixture
def server() -> Iterator[WebServer]:
    running = WebServer("asgi")
    yield running
    running.close()


def printed_by(commands: list[str], server: WebServer, folder: Path, **variables: str) -> list[str]:
    """What each block of commands prints for the user `lantern-maker`."""
    script = "set -euo pipefail\n" + "\n".join(f"echo; echo '{MARK}'\n{text}" for text in commands)
    environment = {
        "PATH": os.environ["PATH"],
        "API": server.url,
        "NAME": "lantern-maker",
        "PASSWORD": PASSWORD,
        **variables,
    }
    run = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=110
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return [part.strip() for part in run.stdout.split(MARK)[1:]]


def test_the_examples_do_what_the_page_says(server: WebServer, node: RenderNode, tmp_path: Path) -> None:
    artist = make_user(username="lantern-maker", money="0.5")
    makers.queued(artist, task_name="Festival", frames="1-2")
    failed = makers.claimed(node)
    usage = attempts.Usage(exit_code=3, log_blob=store_chunks([b"begin\nmiddle\n  end\n"]))
    failure = Failure("crashed", "It crashed.", is_permanent=True)
    attempts.fail(attempt_id=failed.pk, failure=failure, usage=usage)
    makers.succeed(makers.claimed(node))
    makers.scene(artist, "/lantern/lantern.blend", cameras=["left", "right"])

    printed = printed_by([text for kind, text in BLOCKS if kind == "sh"], server, tmp_path)

    shown = iter(json.loads(text) for kind, text in BLOCKS if kind == "json")
    assert len(printed) == len(SAID)
    for found, said in zip(printed, SAID, strict=True):
        if said is None:
            assert_like(next(shown), json.loads(found), "the page")
        else:
            assert found == said.strip()
    assert makers.audit() == {}


def test_results_are_fetched_as_the_page_says(server: WebServer, node: RenderNode, tmp_path: Path) -> None:
    artist = make_user(username="lantern-maker", money="5")
    job = finished(artist, node, tmp_path, frames="1-2", task_name="Festival")
    [(_kind, results)] = blocks_of("Results", "sh")

    printed = printed_by([BLOCKS[0][1], results], server, tmp_path, TASK=str(job.pk))[1]

    folder, outputs = printed.splitlines()
    assert folder.startswith("/renders/Festival [{'step': 'main', 'total_frames': 2, 'done_frames': 2")
    assert outputs == "[('main', 1, '', '0001.png'), ('main', 2, '', '0002.png')]"
    assert (tmp_path / "2.png").read_bytes() == read_picture(job, 2)
    with zipfile.ZipFile(tmp_path / "results.zip") as archive:
        assert archive.read("Festival/0002.png") == read_picture(job, 2)


def read_picture(job: RenderJob, number: int) -> bytes:
    return content(FrameOutput.objects.get(frame__job=job, frame__number=number).blob)


def test_events_are_heard_as_the_page_says(server: WebServer, node: RenderNode) -> None:
    """Also those of the time in which the web process was away."""
    artist = make_user(username="lantern-maker", money="5")
    first, second = makers.queued(artist, frames="1"), makers.queued(artist, frames="1")
    [(_kind, program)] = blocks_of("Events", "python")
    address = server.url.replace("http", "ws").removesuffix("/api/v1")
    program = program.replace("wss://yuntu.example.com", address)
    token = open_session(user=artist, device="farm", ip="127.0.0.1")[1].access_token
    script = f"token = {token!r}\n{program}"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        try:
            heard = iter(listener.stdout)
            assert next(heard).startswith("connection:established")
            cancel_job(job=first)
            assert any(line.startswith("task:status") and str(first.pk) in line for line in heard)
            server.kill()
            cancel_job(job=second)
            server.start()
            assert any(line.startswith("task:status") and str(second.pk) in line for line in heard)
        finally:
            listener.kill()
