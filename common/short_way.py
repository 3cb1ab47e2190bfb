"""A short way to the views of requests that come by the thousand: past what serves browsers and pages."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, URLPattern
from django.utils import translation

from common.middleware import JsonErrorMiddleware, OriginMiddleware, RequestIdMiddleware, UtcMiddleware

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class ShortWay(WSGIHandler):
    """WSGI: calls the views of `patterns`, which lie below `prefix`, and leaves every other request to `long_way`.

    Sessions, forms, CORS and what tells browsers how to treat a page take longer than some of these views. Browsers
    name their origin with whatever changes something; so a request that names one goes the long way.
    """

    def __init__(self, long_way: Application, prefix: str, patterns: Sequence[URLPattern]) -> None:
        self.long_way, self.prefix, self.patterns = long_way, prefix, patterns
        super().__init__()

    def load_middleware(self, is_async: bool = False) -> None:
        """What Django does by the list of the settings, with those that an answer to a program needs."""
        way: Any = convert_exception_to_response(self.call_view)
        for middleware in (UtcMiddleware, JsonErrorMiddleware, OriginMiddleware, RequestIdMiddleware):
            way = middleware(way)
        self._middleware_chain = way

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        match = None if "HTTP_ORIGIN" in environ else self.match(environ["PATH_INFO"])
        if match is None:
            return self.long_way(environ, start_response)
        environ["yuntu.match"] = match
        return super().__call__(environ, start_response)

    def match(self, path: str) -> ResolverMatch | None:
        if not path.startswith(self.prefix):
            return None
        below = path.removeprefix(self.prefix)
        return next((match for pattern in self.patterns if (match := pattern.resolve(below))), None)

    @staticmethod
    def call_view(request: HttpRequest) -> HttpResponseBase:
        request.get_host()  # Refused before anything is done, where the name is none of ours.
        translation.activate(translation.get_language_from_request(request))
        match = request.resolver_match = request.META["yuntu.match"]
        response = match.func(request, *match.args, **match.kwargs).render()
        response.headers.setdefault("Content-Length", str(len(response.content)))
        return response
