"""Fixtures of the whole suite: three personas and their API clients."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.urls import Resolver404
from rest_framework.test import APIClient
from rest_framework.views import APIView

from accounts.models import User
from billing.models import MembershipPlan
from common.openapi import refusals_of
from common.realtime import connection
from tests import factories
from tests.databases import django_db_modify_db_settings

__all__ = ["django_db_modify_db_settings"]  # a fixture


def pytest_collection_finish() -> None:
    """What is loaded by now stays: looking for garbage in it, again and again, took an eighth of the suite's time."""
    gc.collect()
    gc.freeze()
    young, middle, _old = gc.get_threshold()
    gc.set_threshold(young, middle, 100)


@pytest.fixture(autouse=True)
def _clean_state() -> Iterator[None]:
    """Counters, tickets and streams of one test are not those of the next."""
    yield
    keys = list(connection().scan_iter(f"{settings.REDIS_PREFIX}:*", count=1000))
    if keys:
        connection().delete(*keys)


@pytest.fixture
def redis_away(settings: Any) -> Iterator[None]:
    """Redis does not answer: nobody listens where it is looked for."""
    settings.REDIS_URL = "redis://127.0.0.1:1"
    connection.cache_clear()
    yield
    connection.cache_clear()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Plans limit nothing but storage: tests of limits set them."""
    with django_db_blocker.unblock():
        MembershipPlan.objects.update(concurrent_frames=None, weight=1, max_priority=3, discount=0)


class Client(APIClient):
    """An API client that speaks JSON by default and signs in with a real token."""

    default_format = "json"

    def __init__(self, user: User | None = None) -> None:
        super().__init__()
        self.user = user
        if user is not None:
            self.credentials(HTTP_AUTHORIZATION=f"Bearer {factories.token_of(user)}")

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        outside = path.startswith(
            (
                "/blobs",
                "/health",
                "/docs",
                "/redoc",
                "/api",
                "/admin",
                "/login",
                "/account",
                "/invitation",
                "/standin",
                "/static",
            )
        )
        response = super().generic(method, path if outside else f"/api/v1{path}", *args, **kwargs)
        require_documented(method, response)
        return response


UNSPECIFIC = {
    "bad_request",
    "malformed_body",
    "method_not_allowed",
    "unsupported_media_type",
    "too_large",
    "unavailable",
    "internal_error",
}
"""What any door answers to a request that is malformed before the door sees it, or while a part is away."""


def require_documented(method: str, response: Any) -> None:
    """Whatever a door refuses with stands in the OpenAPI document, told from what that is made of."""
    if response.status_code < 400:
        return
    try:
        door = getattr(getattr(response, "resolver_match", None), "func", None)
    except Resolver404:  # no door of ours
        return
    view = getattr(door, "cls", None) or getattr(door, "view_class", None)
    if view is None or not issubclass(view, APIView):  # a page, or a link for browsers: not in the document
        return
    if "json" not in response.get("Content-Type", "") or not response.content:  # a page; the answer to a HEAD
        return
    code = response.json()["code"]
    action = getattr(door, "actions", {}).get(method.lower())
    documented = refusals_of(view, method, action).get(response.status_code, [])
    assert code in documented or code in UNSPECIFIC, (method, view, response.status_code, code)


@pytest.fixture
def anonymous(db: None) -> Client:
    return Client()


@pytest.fixture
def owner(db: None) -> User:
    return factories.make_user(username="owner", money="50")


@pytest.fixture
def stranger(db: None) -> User:
    return factories.make_user(username="stranger", money="50")


@pytest.fixture
def owner_api(owner: User) -> Client:
    return Client(owner)


@pytest.fixture
def stranger_api(stranger: User) -> Client:
    return Client(stranger)
