"""The schedules of Celery beat in the admin, and every model of ours in the one dress."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from unfold.admin import ModelAdmin

from accounts.models import User
from tests.factories import PASSWORD

APPS = ("common", "accounts", "billing", "drives", "uploads", "rendering", "backoffice")


@pytest.fixture
def office(db: None) -> Client:
    User.objects.create_superuser("boss", PASSWORD)
    client = Client()
    assert client.login(username="boss", password=PASSWORD)
    return client


def test_every_model_is_registered() -> None:
    models = {model for app in APPS for model in apps.get_app_config(app).get_models()}
    assert {model._meta.label for model in models - admin.site._registry.keys()} == set()


def test_every_page_wears_the_same_dress() -> None:
    plain = {
        model._meta.label for model, page in admin.site._registry.items() if not isinstance(page, ModelAdmin)
    }
    assert plain == set()


def test_schedules_are_seen_and_changed(office: Client) -> None:
    task = PeriodicTask.objects.get(task="rendering.tasks.tend")
    page = f"/admin/django_celery_beat/periodictask/{task.pk}/change/"
    text = office.get(page).content.decode()
    assert task.name in text
    assert '<option value="rendering.tasks.tend">' in text  # among the tasks to choose from

    schedule = IntervalSchedule.objects.create(every=7, period=IntervalSchedule.MINUTES)
    form = {
        "name": task.name, "regtask": "", "task": task.task, "interval": schedule.pk, "args": "[]", "kwargs": "{}",
        "headers": "{}",
    }  # fmt: skip
    assert office.post(page, form).status_code == 302
    task.refresh_from_db()
    assert (task.interval, task.enabled) == (schedule, False)
    assert office.get(f"/admin/django_celery_beat/intervalschedule/{schedule.pk}/change/").status_code == 200


def test_a_task_that_is_none_is_told_so(office: Client) -> None:
    form = {"name": "x", "regtask": "", "task": "", "args": "[]", "kwargs": "{", "headers": "{}"}
    assert office.post("/admin/django_celery_beat/periodictask/add/", form).status_code == 200
    assert not PeriodicTask.objects.filter(name="x").exists()


def test_strangers_are_sent_to_the_login() -> None:
    for path in ("/admin/", "/admin/accounts/user/", "/admin/django_celery_beat/periodictask/"):
        answer = Client().get(path)
        assert answer.status_code == 302
        assert answer["Location"] == f"/admin/login/?next={path}"
