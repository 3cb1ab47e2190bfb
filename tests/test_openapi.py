"""The OpenAPI document says what is there, and its two pages need nobody else's servers."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client as Browser
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import User
from tests.conftest import Client
from tests.factories import put

# Writing the document takes as long as all these tests: one worker does it.
pytestmark = pytest.mark.xdist_group("openapi")

# Not of the REST framework, so not in the document: it costs no session, no parser, no query.
PLAIN_ROUTES = {"/api/v1/ping"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document as `manage.py spectacular` writes it; any warning is a failure."""
    target: Path = tmp_path_factory.mktemp("openapi") / "schema.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(target))
    found: dict[str, Any] = yaml.safe_load(target.read_text("utf-8"))
    return found


def routes(resolver: URLResolver, prefix: str = "/") -> Iterator[str]:
    """Every address of a URL configuration, parameters as `{}`."""
    for entry in resolver.url_patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern):
            yield re.sub(r"<[^>]+>", "{}", path)


def test_document_holds_every_route_and_no_other(document: dict[str, Any]) -> None:
    described = {re.sub(r"{[^}]+}", "{}", path) for path in document["paths"]}
    served = {path for path in routes(get_resolver()) if path.startswith("/api/v1/")}
    assert served - PLAIN_ROUTES == described


def test_every_operation_describes_its_success_and_its_refusal(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            successes = [code for code in operation["responses"] if code.startswith("2") or code == "302"]
            # What is not there yet, and is being made, is the only other success.
            assert len(successes) == 1 or successes == ["200", "202"], (method, path)
            # An answer always has a body: DELETE and commands answer 200, never an empty 204; except where the tus
            # protocol has its own word, and where one is led on.
            answer = operation["responses"][successes[0]]
            has_no_body = path.startswith("/api/v1/tus") or successes == ["302"]
            assert ("content" in answer) != has_no_body, (method, path)
            refusal = operation["responses"]["422"]["content"]["application/json"]["schema"]
            shape, narrowed = refusal["allOf"]
            assert shape == {"$ref": "#/components/schemas/Error"}
            assert "validation_error" in narrowed["properties"]["code"]["enum"]
    assert document["components"]["schemas"]["Error"]["required"] == ["detail", "code"]


LISTS = [
    "/drives",
    "/files",
    "/shares",
    "/tasks",
    "/upload-tasks",
    "/users/bills",
    "/billing/wallets",
    "/billing/transactions",
    "/billing/bills",
    "/billing/holds",
    "/billing/gifts",
    "/billing/vouchers",
    "/billing/invoices",
    "/user/transactions",
    "/billing/records",
    "/users/transactions",
    "/engines",
    "/teams",
    "/team-invitations",
    "/notifications",
    "/users/me/security-log",
]


@pytest.mark.django_db
@pytest.mark.parametrize("path", LISTS)
def test_lists_answer_the_keys_that_are_described(
    document: dict[str, Any], owner: User, owner_api: Client, path: str
) -> None:
    put(owner, "/a/scene.blend", b"BLENDER")
    answer = owner_api.get(path)
    assert answer.status_code == 200
    schema = answer_schema(document, f"/api/v1{path}", "get")
    assert set(answer.json()) == set(schema["required"])


@pytest.mark.django_db
def test_lists_of_a_task_answer_the_keys_that_are_described(
    document: dict[str, Any], owner: User, owner_api: Client
) -> None:
    task = owner_api.post("/tasks", {"task_name": "t", "frames": "1"}).json()
    for name in ("logs", "frames", "outputs"):
        answer = owner_api.get(f"/tasks/{task['id']}/{name}")
        schema = answer_schema(document, f"/api/v1/tasks/{{id}}/{name}", "get")
        assert set(answer.json()) == set(schema["required"])
    assert set(task) == set(answer_schema(document, "/api/v1/tasks", "post")["properties"])


def answer_schema(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    responses = document["paths"][path][method]["responses"]
    [success] = [code for code in responses if code.startswith("2")]
    reference: str = responses[success]["content"]["application/json"]["schema"]["$ref"]
    schema: dict[str, Any] = document["components"]["schemas"][reference.rpartition("/")[2]]
    return schema


class Assets(HTMLParser):
    """Addresses that a page loads when it is opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {"script": "src", "img": "src", "link": "href", "redoc": "spec-url"}.get(tag)
        self.found += [value for name, value in attrs if name == wanted and value]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_pages_load_everything_from_here(path: str) -> None:
    browser = Browser()
    answer = browser.get(path)
    assert answer.status_code == 200
    page = answer.content.decode()
    assets = Assets(page).found
    assert any(asset.endswith(".js") for asset in assets)
    for asset in assets:
        assert asset.startswith("/static/") or asset == "/api/schema", asset
        served = browser.get(asset)
        assert served.status_code == 200, asset
        served.close()
    # Nor may their scripts fetch pictures or fonts elsewhere, or show the document to anybody.
    assert "img-src 'self' data:; font-src 'self' data:; connect-src 'self'" in page


@pytest.mark.django_db
def test_schema_is_served_to_anybody(anonymous: Client) -> None:
    answer = anonymous.get("/api/schema")
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content)["info"]["title"] == "Yuntu API"
