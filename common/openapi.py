"""OpenAPI: what drf-spectacular cannot find out by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

ERROR: dict[str, Any] = {
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


def add_error(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Hook of drf-spectacular: adds the shape of errors to the schema's components."""
    result["components"]["schemas"]["Error"] = ERROR
    return result


def refusal(codes: list[str]) -> dict[str, Any]:
    """An answer in the one shape of errors, with the codes it may hold."""
    narrowed = {"properties": {"code": {"type": "string", "enum": codes}}}
    schema = {"allOf": [{"$ref": "#/components/schemas/Error"}, narrowed]}
    described = ", ".join(f"`{code}`" for code in codes)
    return {"content": {"application/json": {"schema": schema}}, "description": f"Refused: {described}"}


Codes = dict[int, list[str]]
EVERYWHERE: Codes = {422: ["validation_error"], 429: ["rate_limited"]}
SIGNED_IN: Codes = {401: ["not_authenticated", "token_invalid"], 404: ["not_found"]}
GUESTS: Codes = {403: ["phone_required"]}


def refusals_of(view: Any, method: str, action: str | None) -> Codes:
    """The codes with which a view may refuse, by HTTP status: those that every view has, and those that it declares.

    A view declares errors of the apps in `refusals`: a dict from an action of a viewset, or from a method in lower
    case, to classes of DomainError. A class with several codes lists them in `codes`. What a decorator of the handler
    may raise stands in an attribute `refusals` of the decorated function. `view` is the class or an instance.
    """
    found: Codes = {status: list(codes) for status, codes in EVERYWHERE.items()}
    if view.authentication_classes:
        general = SIGNED_IN if method in ("GET", "HEAD", "OPTIONS") else {**SIGNED_IN, **GUESTS}
        for status, codes in general.items():
            found.setdefault(status, []).extend(codes)
    door = action or method.lower()
    own = getattr(view, "refusals", {}).get(door, ())
    for kind in (*own, *getattr(getattr(view, door, None), "refusals", ())):
        codes = found.setdefault(kind.status, [])
        codes += [code for code in getattr(kind, "codes", (kind.code,)) if code not in codes]
    return found


class ApiSchema(AutoSchema):
    """Adds the one error shape to every operation, with the statuses that any of them may answer, and names lists."""

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
        found = refusals_of(self.view, self.method, getattr(self.view, "action", None))
        for status, codes in found.items():
            operation["responses"].setdefault(str(status), refusal(codes))
        return operation


class SessionTokenScheme(OpenApiAuthenticationExtension):
    target_class = "accounts.authentication.SessionTokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
