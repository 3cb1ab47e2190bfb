"""Paging by page number, as old clients ask for it."""

from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from common.errors import Invalid
from common.paging import SkipLimitPage, whole_number


class NumberedPage(SkipLimitPage):
    """`page`, from 1, and `pageSize`; answered with what the other lists have."""

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        self.key = getattr(view, "results_key", "results")
        page = whole_number(request, "page", 1)
        if page < 1:
            raise Invalid(field="page")
        self.limit = min(max(whole_number(request, "pageSize", self.default_limit), 1), self.max_limit)
        self.skip = (page - 1) * self.limit
        self.total = queryset.count()
        return list(queryset[self.skip : self.skip + self.limit]) if self.total > self.skip else []

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        self.key = getattr(view, "results_key", "results")
        number = {"type": "integer", "minimum": 1}
        return [
            {"name": name, "in": "query", "required": False, "schema": number}
            for name in ("page", "pageSize")
        ]
