"""OpenAPI: what drf-spectacular cannot see by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

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
        error = {
            "content": {"application/json": {"schema": ERROR}},
            "description": "Refused; `code` says why.",
        }
        statuses = ["401", "404", "422"] if operation.get("security", [{}]) != [{}] else ["422"]
        for status in statuses:
            operation["responses"].setdefault(status, error)
        return operation


class SessionTokenScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.SessionTokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
