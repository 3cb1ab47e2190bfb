"""The examples of docs/rendering.md, run in their order with curl against a real server."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drives.services.blobs import store_chunks
from rendering.engines import Failure
from rendering.models import RenderNode
from rendering.services import attempts
from tests.factories import PASSWORD, make_user
from tests.rendering import makers
from tests.uploads.servers import WebServer
from tests.uploads.test_docs_examples import assert_like

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "rendering.md"
SECTION = PAGE.read_text().partition("\n## Tasks")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```(sh|json)\n(.*?)^```", SECTION, flags=re.DOTALL | re.MULTILINE)
MARK = "=== block"
SAID = [
    "",
    None,
    "('pending', 24, '5.0.1')\n(12.0, 38.0)",
    None,
    "[('Lantern', 'frame')]\ndependency_cycle\n3\n('cancelled', 0.0)",
    "[(1, 'crashed')]\n  end\n(1, 1, 0.5)",
    "('queued', 0)\n('1-5', 5)\n2.0",
]
"""What each block of commands prints; None where the page shows it."""


@pytest.fixture
def server() -> Iterator[WebServer]:
    running = WebServer("asgi")
    yield running
    running.close()


def test_the_examples_do_what_the_page_says(server: WebServer, node: RenderNode, tmp_path: Path) -> None:
    artist = make_user(username="lantern-maker", money="0.5")
    makers.queued(artist, task_name="Festival", frames="1-2")
    failed = makers.claimed(node)
    usage = attempts.Usage(exit_code=3, log_blob=store_chunks([b"begin\nmiddle\n  end\n"]))
    failure = Failure("crashed", "It crashed.", is_permanent=True)
    attempts.fail(attempt_id=failed.pk, failure=failure, usage=usage)
    makers.succeed(makers.claimed(node))
    makers.scene(artist, "/lantern/lantern.blend", cameras=["left", "right"])
    commands = [text for kind, text in BLOCKS if kind == "sh"]
    script = "set -euo pipefail\n" + "\n".join(f"echo; echo '{MARK}'\n{text}" for text in commands)
    environment = {
        "PATH": os.environ["PATH"],
        "API": server.url,
        "NAME": "lantern-maker",
        "PASSWORD": PASSWORD,
    }

    run = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
    )

    assert run.returncode == 0, run.stdout + run.stderr
    printed = [part.strip() for part in run.stdout.split(MARK)[1:]]
    shown = iter(json.loads(text) for kind, text in BLOCKS if kind == "json")
    assert len(printed) == len(SAID)
    for found, said in zip(printed, SAID, strict=True):
        if said is None:
            assert_like(next(shown), json.loads(found), "the page")
        else:
            assert found == said.strip()
    assert makers.audit() == {}
