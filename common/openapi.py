"""OpenAPI: what drf-spectacular cannot see by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse

from common import errors

ERROR = {
    "type": "object",
    "required": ["detail", "code"],
    "properties": {
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable slug, the same in every language."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {"type": "array", "items": {}},
                    "msg": {"type": "string"},
                    "type": {"type": "string"},
                },
            },
        },
    },
    "additionalProperties": True,
}


def refused(*kinds: type[errors.DomainError]) -> dict[int, OpenApiResponse]:
    """The answers of a door that `kinds` are, for `extend_schema(responses=...)`: one a status, naming the codes."""
    codes: dict[int, list[str]] = {}
    for kind in kinds:
        codes.setdefault(kind.status, []).append(kind.code)
    return {
        status: OpenApiResponse(ERROR, description="Refused: " + ", ".join(f"`{code}`" for code in named))
        for status, named in codes.items()
    }


class ApiSchema(AutoSchema):
    """Adds the one error shape to every operation, with the statuses any of them may answer, and names lists."""

    def _get_paginator(self) -> Any:
        """The paginator, with the plural under which the view answers: a list below a row is named as its action."""
        paginator = super()._get_paginator()
        if paginator is not None:
            view: Any = self.view
            below = getattr(view, "detail", False)
            paginator.key = view.action if below else getattr(view, "results_key", "results")
        return paginator

    def get_operation(self, *args: Any, **kwargs: Any) -> Any:
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        general = {"422": "`validation_error`", "429": "`rate_limited`"}
        if operation.get("security", [{}]) != [{}]:
            general |= {"401": "`not_authenticated`, `token_invalid`", "404": "`not_found`"}
            if self.method not in ("GET", "HEAD", "OPTIONS"):
                general["403"] = "`phone_required`, `permission_denied`"
        for status, codes in general.items():
            answer = {
                "content": {"application/json": {"schema": ERROR}},
                "description": f"Refused: {codes}",
            }
            operation["responses"].setdefault(status, answer)
        return operation


class SessionTokenScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.SessionTokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
