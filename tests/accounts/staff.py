"""Operators for tests, and what they click in the back office."""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.factories import make_user

FORM = {"_form_submitted": "on", "reason": "ticket 4711"}


def operator(group: str, **fields: Any) -> User:
    user = make_user(username=f"{group}_op", is_staff=True, **fields)
    user.groups.add(Group.objects.get(name=group))
    return user


def office_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(model: type[Model], name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def act(office: Client, action: str, *rows: Model, **given: str) -> None:
    """What is chosen in a list and done to all of it, with a reason where one is asked for."""
    chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows], **FORM, **given}
    assert office.post(page(type(rows[0]), "changelist"), chosen).status_code in (200, 302, 403)


def rights_of(name: str) -> set[str]:
    found = Permission.objects.filter(group__name=name).values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in found}


def form_of(user: User, **changes: Any) -> dict[str, Any]:
    """What a browser sends for the page of a user; a change to None leaves a box empty."""
    form = {
        "username": user.username, "phone": user.phone or "", "email": user.email or "",
        "member_level": user.member_level, "is_active": "on",
    }  # fmt: skip
    for tab in ("sessions", "audit_events", "wallets", "drives", "render_jobs"):
        form |= {f"{tab}-TOTAL_FORMS": 0, f"{tab}-INITIAL_FORMS": 0}
    return {name: value for name, value in {**form, **changes}.items() if value is not None}
