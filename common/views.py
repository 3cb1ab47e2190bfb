"""The base of the API's viewsets."""

from typing import Any

from django.db.models import Model, QuerySet
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from common.paging import SkipLimitPage


class VisibleViewSet(GenericViewSet):
    """A viewset over the rows its user may see: `model.objects.visible_to(user)`, narrowed by `narrow()`.

    Subclasses may not override `get_queryset`, so that no view can widen what is visible. What is out of sight is
    404.
    """

    model: type[Model]
    pagination_class = SkipLimitPage
    lookup_value_converter = "uuid"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "get_queryset" in cls.__dict__:
            raise TypeError(f"{cls.__name__} may not override get_queryset; narrow() is the place.")
        super().__init_subclass__(**kwargs)

    def get_queryset(self) -> QuerySet:
        rows: QuerySet = self.model._default_manager.all()
        if getattr(self, "swagger_fake_view", False):
            return rows.none()
        return self.narrow(rows.visible_to(self.request.user))  # type: ignore[attr-defined]

    def narrow(self, rows: QuerySet) -> QuerySet:
        """The visible rows that this view is about, with what the serializer needs joined."""
        return rows

    def page(self, rows: QuerySet, **context: Any) -> Response:
        """One page of `rows` through the view's serializer."""
        found = self.paginate_queryset(rows)
        serializer = self.get_serializer_class()(
            found, many=True, context={**self.get_serializer_context(), **context}
        )
        return self.get_paginated_response(serializer.data)

    def valid(self, serializer_class: type, request: Request, **kwargs: Any) -> dict[str, Any]:
        """The validated body of the request."""
        serializer = serializer_class(data=request.data, context=self.get_serializer_context(), **kwargs)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


def done(**data: Any) -> Response:
    """The answer to a DELETE or a plain command: 200 with a JSON body, never an empty 204."""
    return Response({"success": True, **data}, status=status.HTTP_200_OK)
