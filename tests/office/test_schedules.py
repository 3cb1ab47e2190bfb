"""Schedules in the back office: switched, and run once more where that does no harm; and what background work left."""

from typing import Any

import pytest
from celery import current_app
from django.utils.translation import gettext, override
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from django_celery_results.models import TaskResult

from accounts.permissions import StaffGroup
from tests.accounts.staff import act, office_of, operator, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        current_app, "send_task", lambda name, **options: found.append((name, options.get("args")))
    )
    return found


@pytest.mark.parametrize("group", list(StaffGroup))
def test_a_schedule_is_run_now_by_the_farm(sent: list[Any], group: str) -> None:
    task = PeriodicTask.objects.get(task="drives.tasks.sweep")
    act(office_of(operator(group)), "run_now", task)
    assert sent == ([("drives.tasks.sweep", [])] if group in ("farm", "superuser") else [])


def test_what_nobody_vouches_for_is_not_run(sent: list[Any]) -> None:
    task = PeriodicTask.objects.create(
        name="foreign", task="somewhere.tasks.charge", interval=PeriodicTask.objects.first().interval
    )
    office = office_of(operator("farm"))
    act(office, "run_now", task)
    assert sent == []
    assert "未运行 foreign" in office.get(page(PeriodicTask, "changelist")).content.decode()


def test_switching(sent: list[Any]) -> None:
    task = PeriodicTask.objects.get(task="drives.tasks.sweep")
    office = office_of(operator("farm"))
    for action, enabled in (("disable", False), ("enable", True)):
        act(office, action, task)
        task.refresh_from_db()
        assert task.enabled == enabled


def test_a_schedule_is_shown_in_words() -> None:
    office = office_of(operator("superuser"))
    daily = PeriodicTask.objects.filter(interval__every=86400).first()
    assert daily is not None
    with override("zh-hans"):
        name = gettext(daily.name)
    listed = office.get(page(PeriodicTask, "changelist")).content.decode()
    assert "每天" in listed and "每 日期" not in listed
    form = office.get(page(PeriodicTask, "change", daily.pk)).content.decode()
    assert f"{name}: 每天" in form and f"{daily.name}: " not in form


def test_names_of_schedules_are_shown_in_chinese_wherever_they_stand(sent: list[Any]) -> None:
    with override("zh-hans"):
        names = {task.name: gettext(task.name) for task in PeriodicTask.objects.all()}
    assert [name for name, shown in names.items() if shown == name] == []
    task = PeriodicTask.objects.get(task="drives.tasks.sweep")
    row = TaskResult.objects.create(task_id="x", task_name=task.task, periodic_task_name=task.name)
    office = office_of(operator("superuser"))
    act(office, "run_now", task)
    assert task.interval is not None
    for address in (
        page(PeriodicTask, "changelist"),
        page(IntervalSchedule, "change", task.interval.pk),
        page(TaskResult, "changelist"),
        page(TaskResult, "change", row.pk),
    ):
        shown = office.get(address).content.decode()
        assert names[task.name] in shown and task.name not in shown, address
    task.refresh_from_db()
    assert task.name in names


def test_a_failure_in_the_background_is_a_row(celery_failure: str) -> None:
    row = TaskResult.objects.get(task_name=celery_failure)
    assert row.status == "FAILURE"
    assert "ZeroDivisionError" in row.traceback
    text = office_of(operator("farm")).get(page(TaskResult, "change", row.pk)).content.decode()
    assert "ZeroDivisionError" in text
    office = office_of(operator("auditor"))
    listed = office.get(page(TaskResult, "changelist")).content.decode()
    assert "失败" in listed
    path = page(TaskResult, "changelist")
    assert celery_failure in office.get(path + "?status__exact=FAILURE").content.decode()
    assert celery_failure not in office.get(path + "?status__exact=SUCCESS").content.decode()


@pytest.fixture
def celery_failure() -> Any:
    """A task that fails as a worker runs it, without the worker."""
    from celery.app.trace import build_tracer

    name = "tests.fail_in_the_background"

    @current_app.task(name=name)
    def fail() -> None:
        raise ZeroDivisionError

    tracer = build_tracer(name, fail, app=current_app, eager=False)
    tracer("c0ffee00-0000-4000-8000-000000000000", [], {}, {"task": name, "id": "c0ffee00", "hostname": "w"})
    yield name
    current_app.tasks.pop(name)


def test_the_schedules_have_names_in_the_operators_language() -> None:
    with override("zh-hans"):
        assert [
            name for name in PeriodicTask.objects.values_list("name", flat=True) if gettext(name) == name
        ] == []
