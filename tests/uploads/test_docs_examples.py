"""The examples of docs/uploads.md, run in their order with curl against a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accounts.models import User
from drives.models import File
from tests.factories import PASSWORD, make_user
from tests.standins.oss import OSSServer
from tests.standins.sts import ROLE, sts_server
from tests.uploads.conftest import staged
from tests.uploads.servers import WebServer
from uploads.models import UploadTask

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "uploads.md"
FLAGS = re.DOTALL | re.MULTILINE
BLOCKS = re.findall(r"^```(sh|json)\n(.*?)^```", PAGE.read_text(), flags=FLAGS)
MARK = "=== block"


@pytest.fixture
def server() -> Iterator[WebServer]:
    running = WebServer("asgi")
    yield running
    running.close()


def script() -> str:
    commands = [text for kind, text in BLOCKS if kind == "sh"]
    return "set -euo pipefail\n" + "\n".join(f"echo; echo '{MARK}'\n{text}" for text in commands)


def outputs(printed: str) -> list[str]:
    return [part.strip() for part in printed.split(MARK)[1:]]


def assert_like(shown: Any, found: Any, where: str) -> None:
    """`found` is what the page shows; a text of `…` stands for any, and a duration for any number."""
    if shown == "…":
        assert isinstance(found, str), where
    elif where.endswith(".upload_duration"):
        assert isinstance(found, int | float), where
    elif isinstance(shown, dict):
        assert isinstance(found, dict), where
        assert set(shown) == set(found), where
        for key, value in shown.items():
            assert_like(value, found[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert isinstance(found, list), where
        assert len(shown) == len(found), where
        for number, value in enumerate(shown):
            assert_like(value, found[number], f"{where}.{number}")
    else:
        assert shown == found, where


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_account_of_the_readme_is_made(server: WebServer, name: str) -> None:
    text = (PAGE.parents[1] / name).read_text()
    [block] = re.findall(r"^    API=.*?\n\n", text, flags=FLAGS)
    shell = block.replace("http://127.0.0.1:8000/api/v1", server.url)
    shell = shell.replace("var/outbox", str(settings.YUNTU_VAR / "outbox"))
    run = subprocess.run(["bash", "-euc", shell], capture_output=True, text=True, timeout=60)
    assert '"access_token"' in run.stdout, run.stdout + run.stderr
    assert User.objects.get().username == "painter"


def test_the_examples_do_what_the_page_says(server: WebServer, tmp_path: Path) -> None:
    user = make_user(username="painter")
    environment = {"PATH": os.environ["PATH"], "API": server.url, "NAME": "painter", "PASSWORD": PASSWORD}
    run = subprocess.run(
        ["bash", "-c", script()], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=110
    )
    assert run.returncode == 0, run.stdout + run.stderr
    printed = outputs(run.stdout)
    commands = [index for index, (kind, _text) in enumerate(BLOCKS) if kind == "sh"]
    assert len(printed) == len(commands)
    compared = 0
    for output, index in zip(printed, commands, strict=True):
        if index + 1 < len(BLOCKS) and BLOCKS[index + 1][0] == "json":
            assert_like(json.loads(BLOCKS[index + 1][1]), json.loads(output), f"block {index}")
            compared += 1
    assert compared >= 8
    text = "\n".join(printed)
    for expected in (
        "uploading\nupload_paused\nNone",
        "lantern/tex/wood.png\nlantern/tex/silk.png\nlantern/notes.txt\nlantern/lantern.blend",
        "/scenes/notes.ma\n/scenes/scene.ma\nscene.ma\n5\nTrue",
        "'uploaded_files': 4",
    ):
        assert expected in text, text
    names = sorted(File.objects.filter(drive__user=user, trashed_at=None).values_list("name", flat=True))
    assert names == ["lantern.blend", "lantern.blend", "notes.ma", "notes.txt", "silk.png", "wood.png"]
    assert set(UploadTask.objects.values_list("status", flat=True)) == {"completed"}
    assert staged() == []


PUT_WITH_SDK = f"""
put_with_sdk() {{ {sys.executable} - "$@" <<'END'
import json, sys
import oss2
keys = json.load(open(sys.argv[1]))
provider = oss2.credentials.StaticCredentialsProvider(
    keys["access_key_id"], keys["access_key_secret"], keys["security_token"])
bucket = oss2.Bucket(oss2.ProviderAuthV4(provider), keys["endpoint"], keys["bucket_name"], region=keys["region"])
bucket.put_object_from_file(sys.argv[2], sys.argv[3])
END
}}
"""


@pytest.mark.parametrize("kind", ["bucket", "sts"])
def test_the_examples_with_a_bucket_do_what_the_page_says(oss: OSSServer, tmp_path: Path, kind: str) -> None:
    make_user(username="painter")
    options = oss.options()
    names = ("access_key_id", "access_key_secret", "bucket_name", "region", "endpoint")
    bucket = {f"OSS_{name.upper()}": options[name] for name in names}
    with sts_server(oss) as sts:
        keys = {"OSS_STS_ROLE_ARN": ROLE, "OSS_STS_ENDPOINT": sts.endpoint}
        server = WebServer("asgi", BLOB_STORAGE="oss", **bucket, **keys)
        run_with_a_bucket(server, oss, tmp_path, kind)


def run_with_a_bucket(server: WebServer, oss: OSSServer, tmp_path: Path, kind: str) -> None:
    environment = {"PATH": os.environ["PATH"], "API": server.url, "NAME": "painter", "PASSWORD": PASSWORD}
    announcing = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text().partition("## Ask")[0], flags=FLAGS)
    direct = re.findall(rf"^```sh {kind}\n(.*?)^```", PAGE.read_text(), flags=FLAGS)
    assert len(direct) == {"bucket": 2, "sts": 1}[kind]
    try:
        run = subprocess.run(
            ["bash", "-c", "set -euo pipefail\n" + "\n".join([PUT_WITH_SDK, *announcing, *direct])],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=110,
        )
    finally:
        server.close()
    assert run.returncode == 0, run.stdout + run.stderr
    expected = {"bucket": "3\n[1, 2, 3]\n12000000\n", "sts": "completed\n"}[kind]
    assert run.stdout.endswith(expected), run.stdout
    file = File.objects.get()
    assert (file.name, file.size, file.blob.verified_at) == ("lantern.blend", 12_000_000, None)
    stored = oss.bucket.find(f"blobs/{file.blob.storage_key}")
    assert stored.path.read_bytes() == (tmp_path / "scene" / "lantern.blend").read_bytes()


def test_every_code_of_the_errors_is_one_of_ours() -> None:
    from common import errors as common
    from drives import errors as drives
    from uploads import errors

    codes = {
        error.code
        for module in (common, drives, errors)
        for error in vars(module).values()
        if isinstance(error, type) and issubclass(error, common.DomainError)
    }
    section = PAGE.read_text().partition("## Errors")[2]
    named = set(re.findall(r"`([a-z_]+_[a-z_]+)`", section))
    assert len(named) > 20
    assert named - codes == set()
