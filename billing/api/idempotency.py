"""Idempotency-Key: a POST that moves money can be repeated without moving it twice."""

import functools
import json
import re
from collections.abc import Callable
from typing import Any, cast

from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from accounts.models import User
from billing.errors import IdempotencyConflict, RequestUnderWay
from billing.services import idempotency
from common.errors import Invalid
from common.ids import digest

HEADER = "Idempotency-Key"
KEY = re.compile(r"[\x21-\x7e]{1,100}")
DESCRIBED = OpenApiParameter(
    HEADER,
    str,
    OpenApiParameter.HEADER,
    description="1 to 100 visible ASCII characters, chosen by the client. Sent again with the same body within 30 "
    "days, the request is answered as the first time (with Idempotency-Replayed: true) and does nothing more; "
    "with another body it is refused. A request that was refused leaves its key free.",
)


def plain(value: Any) -> Any:
    """As JSON, with sorted names."""
    return json.loads(json.dumps(value, cls=JSONEncoder, sort_keys=True))


def once_per_key(handler: Callable[..., Response]) -> Callable[..., Response]:
    """Run the method of a view once for each Idempotency-Key of its user; without a key, every time.

    It must stand above `@action`, which would otherwise remove what the API's document says about the key.
    """

    @extend_schema(parameters=[DESCRIBED])
    @functools.wraps(handler)
    def handle(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return handler(view, request, *args, **kwargs)
        if not KEY.fullmatch(key):
            raise Invalid(
                _("An Idempotency-Key has 1 to 100 visible ASCII characters."), field=HEADER, source="header"
            )
        content = json.dumps([request.method, request.get_full_path(), plain(request.data)], sort_keys=True)
        claimed = idempotency.claim(user=cast(User, request.user), key=key, fingerprint=digest(content))
        if claimed.status is not None:
            return Response(claimed.body, claimed.status, headers={"Idempotency-Replayed": "true"})
        try:
            response = handler(view, request, *args, **kwargs)
        except BaseException:
            idempotency.answer(request=claimed, status=500, body=None)
            raise
        idempotency.answer(request=claimed, status=response.status_code, body=plain(response.data))
        return response

    handle.refusals = (IdempotencyConflict, RequestUnderWay)  # type: ignore[attr-defined]
    return handle
