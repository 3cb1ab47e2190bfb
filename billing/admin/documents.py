"""Documents are downloaded from the page of the row they belong to; each download is in the audit log."""

from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.http import content_disposition_header
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts.models import AuditEvent, User
from accounts.services import audit
from billing.models import Document
from billing.services.documents import content_of
from common.admin import ReadOnlyAdmin


class WithDocument(ReadOnlyAdmin):
    """An admin page of rows with a `document`; whoever may see the row may open it."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_document"
        view = self.admin_site.admin_view(self.document_view)
        return [path("<uuid:pk>/document/", view, name=name), *super().get_urls()]

    def document_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row: Any = self.get_queryset(request).select_related("document").filter(pk=pk).first()
        if row is None or row.document is None:
            raise Http404
        audit.record(
            AuditEvent.Action.FILE_OPENED,
            actor=cast(User, request.user),
            target=row,
            after={"name": row.document.name},
        )
        headers: dict[str, Any] = {
            "Content-Disposition": content_disposition_header(True, row.document.name) or "attachment",
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        }
        content = content_of(row.document)
        return HttpResponse(content, content_type=row.document.content_type, headers=headers)

    @display(description=_("document"))
    def shown_document(self, row: Any) -> str:
        if row.document is None:
            return "-"
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_document"
        return format_html('<a href="{}" download>{}</a>', reverse(name, args=[row.pk]), row.document.name)


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """Shows that they exist; they are opened from the row they belong to."""

    list_display = ("created_at", "name", "content_type", "size", "uploaded_by")
    list_select_related = ("uploaded_by",)
    search_fields = ("name", "=sha256", "uploaded_by__username")
    ordering = ("-created_at", "-pk")
