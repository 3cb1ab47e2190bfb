"""Lists: `{"<plural>": [...], "total", "skip", "limit"}`."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.errors import Invalid


def whole_number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 12:
        raise Invalid(_("A whole number from 0 is expected."), field=name)
    return int(text)


class SkipLimitPage(BasePagination):
    """Paging by skip and limit; the view names its plural (`results_key`) and may change the limits."""

    default_limit = 20
    max_limit = 100

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.key = getattr(view, "results_key", "results")
        cap = getattr(view, "max_limit", self.max_limit)
        self.skip = whole_number(request, "skip", 0)
        self.limit = min(
            max(whole_number(request, "limit", getattr(view, "default_limit", self.default_limit)), 1), cap
        )
        self.total = queryset.count()
        return list(queryset[self.skip : self.skip + self.limit]) if self.total > self.skip else []

    def get_paginated_response(self, data: Any) -> Response:
        return Response({self.key: data, "total": self.total, "skip": self.skip, "limit": self.limit})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        number = {"type": "integer"}
        key = getattr(self, "key", "results")
        return {
            "type": "object",
            "required": [key, "total", "skip", "limit"],
            "properties": {key: schema, "total": number, "skip": number, "limit": number},
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        self.key = getattr(view, "results_key", "results")
        return [
            {"name": name, "in": "query", "required": False, "schema": {"type": "integer", "minimum": 0}}
            for name in ("skip", "limit")
        ]
