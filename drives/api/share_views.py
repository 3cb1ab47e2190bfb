"""Doors of share links: /shares for those who share, /shared/<token> for those who have a link."""

from datetime import timedelta
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.views.base import PublicView, checked
from common.errors import Forbidden, Invalid, NotVisible
from common.ids import as_uuid
from common.limits import client_ip
from common.serializers import DoneSerializer
from common.views import done
from drives import errors, selectors
from drives.api import serializers as shapes
from drives.api import share_serializers as shared_shapes
from drives.api.entries import MOVING, PAGE, SORT, EntryPages, page_of, sort_of
from drives.api.preview_views import SIZE, shown_preview, size_of
from drives.links import MIN_SECONDS, address, link_to, link_to_zip
from drives.models import BlobPreview, File, ShareLink
from drives.permissions import Right, require
from drives.services import bulk, places, shares
from drives.services.saving import save_shared
from drives.zips import zip_name

CLOSED = (NotVisible, errors.ShareRevoked, errors.ShareExpired, errors.ShareExhausted)
LOCKED = (*CLOSED, errors.SharePasswordRequired)


@extend_schema(tags=["shares"])
class ShareViewSet(EntryPages):
    """Links for strangers, made and withdrawn by whoever may share."""

    model = ShareLink
    serializer_class = shared_shapes.ShareSerializer
    results_key = "shares"
    refusals = {
        "list": (Forbidden,),
        "create": (Forbidden,),
        "update": (Forbidden, errors.ShareRevoked),
        "destroy": (Forbidden,),
    }

    def narrow(self, rows: QuerySet) -> QuerySet:
        joined = rows.select_related("drive", "file__folder", "folder", "creator")
        return joined.order_by("-created_at", "-pk")

    @extend_schema(
        parameters=[
            OpenApiParameter("drive_id", OpenApiTypes.UUID),
            OpenApiParameter("entry_id", OpenApiTypes.UUID, description="Of one file or folder."),
            OpenApiParameter("is_revoked", OpenApiTypes.BOOL, description="Both by default."),
        ],
        filters=False,
    )
    def list(self, request: Request) -> Response:
        """Links of a drive, of the default one by default, the latest first; revoked ones, too."""
        drive = self.drive_of(request.query_params.get("drive_id"))
        require(self.actor, Right.SHARE, drive)
        rows = self.get_queryset().filter(drive=drive)
        if text := request.query_params.get("entry_id"):
            if (entry_id := as_uuid(text)) is None:
                raise Invalid(field="entry_id")
            rows = rows.filter(Q(file=entry_id) | Q(folder=entry_id))
        if text := request.query_params.get("is_revoked"):
            if text not in ("true", "false"):
                raise Invalid(field="is_revoked")
            rows = rows.filter(revoked_at__isnull=text == "false")
        return self.page(rows)

    @extend_schema(
        request=shared_shapes.NewShareSerializer, responses={201: shared_shapes.MadeShareSerializer}
    )
    def create(self, request: Request) -> Response:
        """A link to a file or folder. Its address is shown this once."""
        data = with_end(self.valid(shared_shapes.NewShareSerializer, request))
        entry_id = data.pop("entry_id")
        entry = bulk.visible_entries([entry_id], self.actor).get(entry_id)
        if entry is None or not places.is_living(entry):
            raise NotVisible
        share, token = shares.create_share(entry=entry, actor=self.actor, **data)
        body = self.get_serializer_class()(share).data
        url = address(f"/s/{quote(token)}", request._request)
        return Response({**body, "url": url}, status=status.HTTP_201_CREATED)

    @extend_schema(request=shared_shapes.ShareChangeSerializer, responses=shared_shapes.ShareSerializer)
    def update(self, request: Request, pk: UUID) -> Response:
        """Another password, end or number of downloads; the address stays the same."""
        changes = with_end(self.valid(shared_shapes.ShareChangeSerializer, request))
        share = cast(ShareLink, self.get_object())
        share = shares.change_share(share=share, actor=self.actor, **changes)
        return Response(self.get_serializer_class()(share).data)

    @extend_schema(responses={200: DoneSerializer})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Withdraw a link. Addresses of files that it has given out end with it."""
        shares.revoke_share(share=cast(ShareLink, self.get_object()), actor=self.actor)
        return done()


def with_end(data: dict[str, Any]) -> dict[str, Any]:
    """`expires_in_days`, where it is told, as `expires_at`."""
    if "expires_in_days" in data:
        days = data.pop("expires_in_days")
        data["expires_at"] = timezone.now() + timedelta(days=days) if days else None
    return data


def key_of(request: Request) -> str:
    """What /unlock gave, which comes as a bearer token."""
    return request.headers.get("Authorization", "").partition(" ")[2]


class SharedBase(PublicView):
    """What the doors for strangers share."""

    def opened(self, token: str) -> ShareLink:
        """The link of the token, unlocked where it has a password."""
        share = shares.find_share(token=token, now=timezone.now())
        shares.require_key(share, key_of(self.request))
        return share

    def shown(self, entries: object, *, many: bool = False) -> object:
        context = {"token": self.kwargs["token"]}
        return shared_shapes.SharedEntrySerializer(entries, many=many, context=context).data


def seconds_of(share: ShareLink) -> int:
    """How long an address of a file is good for that the link gives out: not much longer than itself."""
    seconds: int = settings.DOWNLOAD_LINK_SECONDS
    if share.expires_at is None:
        return seconds
    left = int((share.expires_at - timezone.now()).total_seconds())
    return max(min(seconds, left), MIN_SECONDS)


class SharedView(SharedBase):
    refusals = {"get": CLOSED}

    @extend_schema(responses=shared_shapes.SharedSerializer, tags=["shares"])
    def get(self, request: Request, token: str) -> Response:
        """What a link leads to; only that it asks for a password, where it does and none was given."""
        share = shares.find_share(token=token, now=timezone.now())
        try:
            shares.require_key(share, key_of(request))
        except errors.SharePasswordRequired:
            locked = {"needs_password": True, "entry": None, "expires_at": None, "downloads_left": None}
            return Response(locked)
        body = {
            "needs_password": False,
            "entry": self.shown(shares.shared_entry(share)),
            "expires_at": share.expires_at,
            "downloads_left": share.downloads_left,
        }
        return Response(body)


class UnlockView(SharedBase):
    refusals = {"post": (*CLOSED, errors.SharePasswordWrong)}

    @extend_schema(
        request=shared_shapes.UnlockSerializer, responses=shared_shapes.KeySerializer, tags=["shares"]
    )
    def post(self, request: Request, token: str) -> Response:
        """Give the password of a link."""
        password = checked(shared_shapes.UnlockSerializer, request)["password"]
        share = shares.find_share(token=token, now=timezone.now())
        key = shares.unlock(share=share, password=password, ip=client_ip(request))
        return Response({"key": key, "expires_in": shares.KEY_SECONDS})


class SharedFilesView(SharedBase):
    refusals = {"get": (*LOCKED, errors.BadName)}

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "path", OpenApiTypes.STR, description="Inside the shared folder, `/` by default."
            ),
            SORT,
            *PAGE,
        ],
        responses=shared_shapes.SharedPageSerializer,
        tags=["shares"],
    )
    def get(self, request: Request, token: str) -> Response:
        """Folders and files directly in a folder of the share, folders first."""
        share = self.opened(token)
        folder = shares.shared_folder(share, request.query_params.get("path", "/"))
        rows = selectors.contents(share.drive, folder, sort_of(request))
        entries, page = page_of(request, *rows)
        return Response({"files": self.shown(entries, many=True), **page})


class SharedPreviewView(SharedBase):
    refusals = {"get": (*LOCKED, Forbidden)}

    @extend_schema(
        parameters=[SIZE],
        responses={200: shapes.PreviewSerializer, 202: shapes.PreviewSerializer},
        tags=["shares"],
    )
    def get(self, request: Request, token: str, file_id: UUID) -> Response:
        """A small picture of a file of the share, as its owner gets it.

        Where downloads are limited there are none larger than 160: a look would be a download that does not count.
        """
        share, size = self.opened(token), size_of(request)
        if share.max_downloads is not None and size > min(BlobPreview.SIZES):
            raise Forbidden
        file = shares.entry_in(share, file_id)
        if not isinstance(file, File):
            raise NotVisible
        return shown_preview(request, file, size, seconds=seconds_of(share), share_id=share.pk)


class SharedDownloadView(SharedBase):
    refusals = {"post": (*LOCKED, errors.NotVerifiedYet, errors.TooManyItems)}

    @extend_schema(
        request=shared_shapes.SharedDownloadSerializer, responses=shapes.LinkSerializer, tags=["shares"]
    )
    def post(self, request: Request, token: str) -> Response:
        """A signed link to a file, or to a ZIP of a folder. It counts as one download, however often it breaks off."""
        entry_id = checked(shared_shapes.SharedDownloadSerializer, request).get("id")
        share, now = self.opened(token), timezone.now()
        entry, seconds, plain = shares.entry_in(share, entry_id), seconds_of(share), request._request
        if isinstance(entry, File):
            shares.count_file(share=share, file=entry, now=now)
            url = link_to(
                entry.blob_id,
                entry.name,
                request=plain,
                seconds=seconds,
                share_id=share.pk,
                drive_id=share.drive_id,
            )
            name, size, etag = entry.name, entry.size, entry.blob.sha256 or ""
        else:
            name = zip_name(entry.name)
            archive, found = shares.order_folder(share=share, folder=entry, seconds=seconds, now=now)
            url, size, etag = link_to_zip(archive, name, request=plain), found.size, found.etag
        body = {"download_url": url, "filename": name, "size": size, "etag": etag, "expires_in": seconds}
        return Response(body)


class SaveSharedViewSet(EntryPages):
    model = File
    refusals = {"create": (*LOCKED, *MOVING, errors.TooManyItems)}

    @extend_schema(
        request=shared_shapes.SaveSharedSerializer, responses={201: shapes.EntrySerializer}, tags=["shares"]
    )
    def create(self, request: Request, token: str) -> Response:
        """Keep a file or folder of the share in one's own drive. No bytes are copied; it counts as one download."""
        data, now = self.valid(shared_shapes.SaveSharedSerializer, request), timezone.now()
        made = save_shared(
            share=shares.find_share(token=token, now=now),
            key=data["key"],
            entry_id=data.get("id"),
            actor=self.actor,
            to=self.destination(data),
            now=now,
        )
        shown = shapes.EntrySerializer(made, context=self.entry_context()).data
        return Response(shown, status=status.HTTP_201_CREATED)
