"""Every page and every button of the back office, as each role and as nobody: what is not offered is refused."""

from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import AuditEvent
from accounts.permissions import StaffGroup
from common.ids import new_id
from tests.accounts.staff import FORM, office_of, operator, page
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PAGES: dict[type[Model], Any] = admin.site._registry
OWN_PAGES = {"/admin/queue/": {"support", "finance", "farm", "auditor", "superuser"}}
KINDS = ("actions_list", "actions_row", "actions_detail")


def buttons() -> list[tuple[type[Model], str]]:
    """Every button that belongs to a row or a list, with its model."""
    return [
        (model, name)
        for model, shown in PAGES.items()
        for kind in KINDS
        for name in shown._extract_action_names(getattr(shown, kind))
    ]


def address_of(model: type[Model], name: str) -> str:
    in_list = name in PAGES[model]._extract_action_names(PAGES[model].actions_list)
    row = model._default_manager.first()
    arguments = [] if in_list else [row.pk if row else new_id()]
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


SEEN: dict[str, set[str]] = {
    "support": {
        "user.send_notification", "user.lift_locks", "user.end_sessions", "user.block", "user.unblock",
        "user.remove_avatars", "file.restore", "folder.restore",
    },
    "auditor": set(),
    "farm": {
        "renderjob.pause", "renderjob.resume", "renderjob.retry_failed", "renderjob.raise_priority", "renderjob.move",
        "renderjob.unblock_nodes", "renderjob.cancel", "rendernode.enable", "rendernode.drain", "rendernode.disable",
        "periodictask.run_now",
    },
}  # fmt: skip


@pytest.mark.parametrize("group", list(StaffGroup))
def test_buttons_that_are_not_offered_are_refused(group: str) -> None:
    make_user()
    me = operator(group)
    office, request = office_of(me), RequestFactory().get("/")
    request.user = me
    offered = set()
    assert len(buttons()) > 20
    for model, name in buttons():
        shown = PAGES[model]
        action = shown.get_unfold_action(name)
        is_offered = bool(shown._filter_unfold_actions_by_permissions(request, [action], "x"))
        link = address_of(model, name)
        for answer in (office.get(link), office.post(link, FORM) if not is_offered else office.get(link)):
            assert answer.status_code in ((200, 404) if is_offered else (403,)), (link, group)
        if is_offered:
            offered.add(f"{model._meta.model_name}.{name}")
    if group in SEEN:
        assert offered == SEEN[group]
    # Looking at a dialog does nothing.
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.ADMIN_RAN).exists()


@pytest.mark.parametrize("group", list(StaffGroup))
def test_exports_and_pages_of_no_model(group: str) -> None:
    office = office_of(operator(group))
    for path, groups in OWN_PAGES.items():
        assert office.get(path).status_code == (200 if group in groups else 403)
    for model in PAGES:
        listed = office.get(page(model, "changelist")).status_code == 200
        may = listed and group != "support"
        assert office.get(page(model, "export")).status_code == (200 if may else 403), model


def test_nobody_gets_anywhere() -> None:
    user = make_user()
    for client in (Client(), office_of(user)):
        paths = [address_of(model, name) for model, name in buttons()]
        paths += [page(model, name) for model in PAGES for name in ("changelist", "add", "export")]
        paths += ["/admin/", "/admin/search/?s=a", "/admin/jsi18n/", "/admin/second-factor/", *OWN_PAGES]
        for path in paths:
            for answer in (client.get(path), client.post(path, FORM)):
                assert answer.status_code in (302, 405) or path == "/admin/jsi18n/", path
                if answer.status_code == 302:
                    assert answer["Location"].startswith("/admin/login/"), path
    assert not AuditEvent.objects.filter(action=AuditEvent.Action.ADMIN_RAN).exists()
