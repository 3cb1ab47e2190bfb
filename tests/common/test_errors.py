"""What a domain error says: where the value stands, and how long to wait."""

import time

import pytest
from rest_framework import serializers

from common.errors import DomainError, Invalid, RateLimited
from common.exceptions import validation_body


@pytest.mark.parametrize(
    ("field", "loc"),
    [
        ("", ["body"]),
        ("phone", ["body", "phone"]),
        ("files.3.name", ["body", "files", 3, "name"]),
        ("files.0", ["body", "files", 0]),
        ("files.٣", ["body", "files", "٣"]),  # only our digits are places
        ("md5.1a", ["body", "md5", "1a"]),
    ],
)
def test_places_in_lists_are_numbers(field: str, loc: list[str | int]) -> None:
    body = Invalid("wrong", field=field).body()
    assert body["errors"] == [{"loc": loc, "msg": "wrong", "type": "validation_error"}]


def test_serializers_and_services_say_alike_where_it_is() -> None:
    class Item(serializers.Serializer):
        name = serializers.CharField()

    class Manifest(serializers.Serializer):
        files = Item(many=True)

    serializer = Manifest(data={"files": [{"name": "a"}, {}]})
    assert not serializer.is_valid()
    [by_serializer] = validation_body(serializer.errors)["errors"]
    assert by_serializer["loc"] == Invalid(field="files.1.name").body()["errors"][0]["loc"]


def test_headers_of_a_limit() -> None:
    shown = RateLimited(retry_after=30, limit=5).headers()
    assert set(shown) == {"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    assert (shown["Retry-After"], shown["X-RateLimit-Limit"], shown["X-RateLimit-Remaining"]) == (
        "30",
        "5",
        "0",
    )
    assert 28 <= int(shown["X-RateLimit-Reset"]) - time.time() <= 31
    assert RateLimited(retry_after=30).headers() == {"Retry-After": "30"}
    assert DomainError().headers() == {}
