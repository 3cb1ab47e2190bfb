"""/dav/: who comes in, what wsgidav is given, and what goes out. Bodies stream both ways, under WSGI and ASGI."""

import io
from collections import deque
from dataclasses import replace
from itertools import islice
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element, register_namespace

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from wsgidav.dav_error import HTTP_NOT_FOUND, DAVError

from accounts.models import AppPassword
from accounts.services.app_passwords import authenticate, basic_credentials
from common import origin
from common.bodies import BLOCK, DRAINED_BLOCKS, pieces, reader_of
from common.errors import DomainError
from common.limits import client_ip
from drives.api.downloads import read, read_async, serve_blob
from drives.dav.bodies import parsed, whole
from drives.dav.properties import IN_MEMORY, Answer, Locks, entries_of, question, require_finite
from drives.dav.resources import MOUNT, Drives, FileResource
from drives.dav.server import DavServer
from drives.services.operations import record_download

XML, PLAIN = "application/xml; charset=utf-8", "text/plain; charset=utf-8"
METHODS = (
    "OPTIONS", "HEAD", "GET", "PROPFIND", "PUT", "DELETE", "COPY", "MOVE", "MKCOL", "PROPPATCH", "LOCK", "UNLOCK",
)  # fmt: skip
WITH_XML = ("PROPFIND", "PROPPATCH", "LOCK")
CONFIG: dict[str, Any] = {"block_size": BLOCK, "hotfixes": {}, "add_header_MS_Author_Via": True}
provider = Drives()
# In what wsgidav answers, as in drives.dav.properties: some clients know no other prefix.
register_namespace("D", "DAV:")


class BadPath(DomainError):
    """`..` has no place in an address here, nor has a fragment: what a proxy made of it is anybody's guess."""

    code, status, text = "bad_path", 400, _("This address cannot be used.")


@csrf_exempt
def serve_dav(request: HttpRequest, path: str | None = None) -> HttpResponseBase:
    """Any method of WebDAV. Errors are plain text, or XML where the RFC has a condition for them."""
    body = reader_of(request)
    try:
        if request.method not in METHODS:
            return HttpResponse(status=405, headers={"Allow": ", ".join(METHODS)})
        username, password = basic_credentials(request.headers.get("Authorization", ""))
        app_password = authenticate(username=username, password=password, ip=client_ip(request))
        origin.current.set(replace(origin.current.get(), device=app_password.name))
        response = answer(request, path or "/", app_password, body)
    except DomainError as error:
        response = HttpResponse(str(error), status=error.status, content_type=PLAIN)
        for header, value in error.headers().items():
            response[header] = value
        if error.status == 401:
            response["WWW-Authenticate"] = 'Basic realm="Yuntu", charset="UTF-8"'
    except DAVError as error:
        response = refusal(error)
    if response.status_code >= 400:
        drain(body)
    return response


def refusal(error: DAVError) -> HttpResponse:
    content_type, body = error.get_response_page()
    if error.err_condition is None:
        content_type, body = PLAIN, error.context_info or ""
    if error.value in (204, 304):
        return HttpResponse(status=error.value)
    return HttpResponse(body, status=error.value, content_type=content_type)


def drain(body: Any) -> None:
    """Who still sends does not read an answer that closes the connection: some of the rest is taken."""
    try:
        deque(islice(iter(lambda: body(BLOCK), b""), DRAINED_BLOCKS), 0)
    except OSError:
        return


def answer(request: HttpRequest, path: str, app_password: AppPassword, body: Any) -> HttpResponseBase:
    environ = environ_of(request, path, app_password)
    if request.method in ("GET", "HEAD"):
        return serve_file(request, environ)
    if request.method == "PUT":
        return told_by_wsgidav({**environ, "yuntu.body": pieces(request)})
    told = whole(body)
    document = parsed(told) if request.method in WITH_XML else None
    if request.method == "PROPFIND":
        return serve_properties(request, environ, document)
    return told_by_wsgidav({**environ, "wsgi.input": io.BytesIO(told), "CONTENT_LENGTH": str(len(told))})


def told_by_wsgidav(environ: dict[str, Any]) -> HttpResponse:
    started: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        started.update(status=int(status.split(" ", 1)[0]), headers=headers)

    content = b"".join(DavServer(provider)(environ, start_response))
    headers = {name: value for name, value in started["headers"] if name != "Date"}
    if headers.get("Content-Type", "").startswith("text/html"):
        # wsgidav's page of what the status says already, with its name and version.
        content, headers = b"", {**headers, "Content-Type": PLAIN, "Content-Length": "0"}
    return HttpResponse(content, status=started["status"], headers=headers)


def environ_of(request: HttpRequest, path: str, app_password: AppPassword) -> dict[str, Any]:
    """What wsgidav reads, with who asks. Raises BadPath."""
    environ = {name: value for name, value in request.META.items() if name.startswith("HTTP_")}
    if request.META.get("CONTENT_LENGTH"):
        environ["CONTENT_LENGTH"] = request.META["CONTENT_LENGTH"]
    require_plain(path)
    if "#" in request.META.get("RAW_URI", ""):  # gunicorn hands on the folder that it is said to be a part of
        raise BadPath
    environ |= {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": MOUNT,
        "PATH_INFO": path,
        "wsgi.url_scheme": request.scheme,
        "wsgidav.provider": provider,
        "wsgidav.config": CONFIG,
        "wsgidav.verbose": 1,
        # wsgidav makes the second of the first; properties are told without it.
        "wsgidav.auth.user_name": str(app_password.user_id),
        "wsgidav.user_name": str(app_password.user_id),
        "yuntu.user": app_password.user,
        "yuntu.destination": destination_of(request),
    }
    return environ


def require_plain(path: str) -> None:
    """Raises BadPath."""
    if {".", ".."} & set(path.split("/")):
        raise BadPath


def destination_of(request: HttpRequest) -> str:
    """The path of the Destination header below the mount; empty where it leads elsewhere. Raises BadPath.

    wsgidav's own reading cuts names at `;` and `?`, quoted or not.
    """
    try:
        parts = urlsplit(request.headers.get("Destination", ""))
        path = unquote(parts.path, errors="strict")
    except ValueError as error:
        raise BadPath from error
    require_plain(path)
    if parts.netloc and parts.netloc.lower() != request.get_host().lower():
        return ""
    return path.removeprefix(MOUNT).rstrip("/") if path.startswith(f"{MOUNT}/") else ""


def serve_properties(
    request: HttpRequest, environ: dict[str, Any], document: Element | None
) -> HttpResponseBase:
    """Raises DAVError."""
    depth = require_finite(request.headers.get("Depth", "infinity").lower())
    asked, found = question(document), provider.get_resource_inst(environ["PATH_INFO"], environ)
    if found is None:
        raise DAVError(HTTP_NOT_FOUND)
    DavServer(provider).require_conditions(found, environ)
    file = Answer(asked, Locks(found)).spool(entries_of(found, depth))
    size = file.tell()
    file.seek(0)
    headers = {"Content-Length": str(size)}
    if size <= IN_MEMORY:
        return HttpResponse(file.read(), status=207, content_type=XML, headers=headers)
    reader = read_async if isinstance(request, ASGIRequest) else read
    return StreamingHttpResponse(
        reader(cast(BinaryIO, file), size), status=207, content_type=XML, headers=headers
    )


def serve_file(request: HttpRequest, environ: dict[str, Any]) -> HttpResponseBase:
    """As a signed link does, ranges and all; what a download begins with is written down."""
    found = provider.get_resource_inst(environ["PATH_INFO"], environ)
    if found is None:
        return HttpResponse(status=404)
    if not isinstance(found, FileResource):
        return HttpResponse(status=405, headers={"Allow": "OPTIONS, PROPFIND"})
    file = found.file
    response = serve_blob(
        request,
        file.blob,
        file.name,
        inline=False,
        seconds=0,
        modified_at=file.modified_at,
        drive_id=file.drive_id,
    )
    begins = request.headers.get("Range", "bytes=0-").replace(" ", "").startswith("bytes=0-")
    if request.method == "GET" and begins and response.status_code in (200, 206):
        record_download(file, actor=found.user)
    return response
