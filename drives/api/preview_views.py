"""Doors of previews."""

from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from common.errors import Invalid
from common.paging import whole_number
from common.views import VisibleViewSet
from drives.api.serializers import PreviewSerializer
from drives.links import link_to
from drives.models import BlobPreview, File
from drives.services.previews import ask_preview

DEFAULT_SIZE = 480
RETRY_SECONDS = 1
SIZE = OpenApiParameter(
    "size",
    {"type": "integer", "enum": list(BlobPreview.SIZES)},
    description=f"Most pixels of the longer side; {DEFAULT_SIZE} by default.",
)


@extend_schema(tags=["files"])
class PreviewViewSet(VisibleViewSet):
    """Small pictures of files."""

    model = File
    serializer_class = PreviewSerializer

    def narrow(self, rows: QuerySet) -> QuerySet:
        return rows.select_related("blob")

    @extend_schema(parameters=[SIZE], responses={200: PreviewSerializer, 202: PreviewSerializer})
    @action(detail=True)
    def preview(self, request: Request, pk: UUID) -> Response:
        """A signed link to a small picture of an image, a PDF's first page or a video's first frame.

        202 with `Retry-After` while it is being made. What is not whole, or no picture, is told by `state`.
        """
        return shown_preview(request, cast(File, self.get_object()), size_of(request))


def size_of(request: Request) -> int:
    """Raises Invalid for other sizes than there are."""
    size = whole_number(request, "size", DEFAULT_SIZE)
    if size not in BlobPreview.SIZES:
        raise Invalid(field="size")
    return size


def shown_preview(request: Request, file: File, size: int, **link: Any) -> Response:
    """How far the preview of a file is; `link` are further claims of its address."""
    preview = ask_preview(blob=file.blob, size=size, now=timezone.now())
    url = None
    if preview.state == BlobPreview.State.READY:
        result = preview.result_id or file.blob_id
        url = link_to(result, f"{file.name}.webp", request=request._request, inline=True, **link)
    body = {"state": preview.state, "size": size, "preview_url": url}
    if preview.state == BlobPreview.State.MAKING:
        headers = {"Retry-After": str(RETRY_SECONDS)}
        return Response(body, status=status.HTTP_202_ACCEPTED, headers=headers)
    return Response(body)
