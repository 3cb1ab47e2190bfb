"""Drives and uploads in the back office."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import F
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from drives.models import Drive, File, StorageCheck, TrafficSample
from drives.services import drives
from drives.services.archives import order_archive
from drives.services.favourites import mark
from drives.services.members import add_member
from drives.services.previews import ask_preview
from drives.services.shares import create_share
from drives.services.storage_checks import run_check
from drives.services.usage import sample_usage
from tests.conftest import Client
from tests.factories import make_user, put
from tests.uploads.conftest import PART, announced, begin, sums
from uploads.models import UploadTask
from uploads.services.client_logs import store_log

pytestmark = pytest.mark.django_db
MODELS = [*apps.get_app_config("drives").get_models(), *apps.get_app_config("uploads").get_models()]


@pytest.fixture
def browser() -> Browser:
    operator = make_user(username="operator", is_staff=True, is_superuser=True)
    browser = Browser()
    browser.force_login(operator)
    return browser


def fill(client: Client, folder: str) -> None:
    """A row of each model, and a part."""
    big, small = begin(client, announced(f"/{folder}/big", bytes(3 * PART)), announced(f"/{folder}/s", b"s"))
    small.whole(b"s")
    big.start()
    big.part(1, bytes(PART))
    assert client.user is not None
    file = put(client.user, f"/{folder}/more", folder.encode())
    put(client.user, f"/{folder}/more", folder.encode() * 2)
    mark(entry=file, user=client.user)
    file = File.objects.select_related("drive", "folder", "blob").get(pk=file.pk)
    create_share(entry=file, actor=client.user)
    order_archive(entries=[file], actor=client.user, seconds=60)
    ask_preview(blob=file.blob, size=160, now=timezone.now())
    add_member(drive=file.drive, actor=client.user, username=make_user().username, role="viewer")
    store_log(user=client.user, file_name=f"{folder}.log", content=folder.encode(), now=timezone.now())
    sample_usage(now=timezone.now())
    TrafficSample.objects.get_or_create(drive=file.drive, sample_date=timezone.localdate(), size=1)
    run_check(check_id=None, now=timezone.now())


def address(model: Any, page: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=arguments)


def test_every_model_is_listed_searched_and_shown(browser: Browser, owner_api: Client) -> None:
    """All in one test: the rows take longer to make than the pages to show."""

    def queries(model: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(address(model, "changelist")).status_code == 200
        return len(captured)

    fill(owner_api, "first")
    for model in MODELS:
        queries(model)
    few = {model: queries(model) for model in MODELS}
    for number in range(6):
        fill(owner_api, f"folder {number}")
        drives.create_drive(user=make_user(), name=f"{number}")
    assert {model: queries(model) for model in MODELS} == few
    for model in MODELS:
        assert browser.get(address(model, "changelist") + "?q=first").status_code == 200, model
        row = model._default_manager.first()
        assert row is not None
        assert browser.get(address(model, "change", row.pk)).status_code == 200, model


@pytest.mark.parametrize(
    "model", [model for model in MODELS if model is not Drive], ids=lambda model: model.__name__
)
def test_what_follows_from_services_is_not_written_by_hand(
    browser: Browser, owner_api: Client, model: Any
) -> None:
    fill(owner_api, "first")
    row = model.objects.first()
    before = list(model.objects.order_by("pk").values())
    # A check is begun by adding it; what it finds is its own.
    assert browser.get(address(model, "add")).status_code == (200 if model is StorageCheck else 403)
    assert browser.post(address(model, "change", row.pk), {}).status_code == 403
    assert browser.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert list(model.objects.order_by("pk").values()) == before
    assert admin.site.is_registered(model)


def test_an_operator_renames_a_drive(browser: Browser, owner: User, drive: Drive) -> None:
    """Sums that move while the page is open stay as they are."""
    page, size = address(Drive, "change", drive.pk), drive.total_size
    shown = browser.get(page)
    form = {name: value or "" for name, value in shown.context["adminform"].form.initial.items()}
    put(owner, "/x", b"12345")
    answer = browser.post(
        page, {**form, "name": "Room", "is_active": "on", "used_size": "99", "total_size": "1"}
    )
    assert answer.status_code == 302
    assert sums(drive) == (5, 0)
    drive.refresh_from_db()
    assert (drive.name, drive.total_size) == ("Room", size)  # the quota has a deed of its own
    # The same in the middle of the request.
    saved = admin.site.get_model_admin(Drive)
    stale = Drive.objects.get(pk=drive.pk)
    Drive.objects.update(used_size=F("used_size") + 1)

    class Form:
        changed_data = ("name",)

    stale.name = "Attic"
    saved.save_model(None, stale, Form(), True)  # type: ignore[arg-type]
    drive.refresh_from_db()
    assert (sums(drive), drive.name) == ((6, 0), "Attic")
    assert browser.get(address(Drive, "add")).status_code == 403
    assert browser.post(address(Drive, "delete", drive.pk), {"post": "yes"}).status_code == 403


def test_an_operator_cancels_uploads(browser: Browser, owner_api: Client, drive: Drive) -> None:
    begin(owner_api, announced("/1", b"x"))
    (done,) = begin(owner_api, announced("/2", b"y"))
    done.whole(b"y")
    chosen = [str(task.pk) for task in UploadTask.objects.all()]
    form = {"action": "cancel", "_selected_action": chosen}
    answer = browser.post(address(UploadTask, "changelist"), form, follow=True)
    assert sorted(UploadTask.objects.values_list("status", flat=True)) == ["cancelled", "completed"]
    assert len(list(answer.context["messages"])) == 2
    assert sums(drive) == (1, 0)
    # Who may only look may not cancel.
    viewer = Browser()
    viewer.force_login(make_user(username="viewer", is_staff=True))
    assert viewer.post(address(UploadTask, "changelist"), form).status_code == 403
