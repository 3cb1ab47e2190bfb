"""The schedules of Celery beat and the results of background work, in the style of our own pages."""

import json
from typing import Any

from celery import current_app
from cron_descriptor import (
    FormatException,
    MissingFieldException,
    Options,
    WrongArgumentException,
    get_description,
)
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django_celery_beat import admin as beat
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from django_celery_results.models import GroupResult, TaskResult
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from common.admin import AuditedAdmin, ReadOnlyAdmin
from common.columns import Colours
from common.deeds import deed

PACKAGES = (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
    TaskResult,
    GroupResult,
)
for model in PACKAGES:
    admin.site.unregister(model)
OURS = ("accounts.", "billing.", "drives.", "uploads.", "rendering.")
"""Only tasks of ours may be run by hand: they are safe to run twice."""


ONCE = {
    "days": _("every day"),
    "hours": _("every hour"),
    "minutes": _("every minute"),
    "seconds": _("every second"),
}
"""The package's Chinese word for a single day is that for a date."""
LONGER = (("days", 86400), ("hours", 3600), ("minutes", 60))


def spoken(schedule: Any) -> str:
    """The schedule in plain words. The package's own texts read `0 4 * * * (m/h/dM/MY/d) UTC` or `every 86400 s`."""
    if isinstance(schedule, CrontabSchedule):
        options = Options()
        options.use_24hour_time_format = True
        options.locale_code = "zh_CN" if get_language() == "zh-hans" else "en_US"
        columns = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        text = " ".join(str(getattr(schedule, name)) for name in columns)
        try:
            return f"{get_description(text, options)} ({schedule.timezone})"
        except (FormatException, MissingFieldException, WrongArgumentException):
            return str(schedule)
    if isinstance(schedule, IntervalSchedule):
        every, period = shortest(schedule)
        return str(ONCE[period]) if every == 1 else str(IntervalSchedule(every=every, period=period))
    return str(schedule)


def shortest(schedule: IntervalSchedule) -> tuple[int, str]:
    """Seconds as the longest period that divides them."""
    if schedule.period == IntervalSchedule.SECONDS:
        for period, seconds in LONGER:
            if schedule.every % seconds == 0:
                return schedule.every // seconds, period
    return schedule.every, schedule.period


class InWords:
    """A task for the head of its page, which has nothing but its text for a name."""

    def __init__(self, task: PeriodicTask) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def __str__(self) -> str:
        return f"{gettext(self.task.name)}: {spoken(self.task.scheduler)}"


class TaskSelect(UnfoldAdminSelectWidget, beat.TaskSelectWidget):
    pass


class PeriodicTaskForm(beat.PeriodicTaskForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Absent where the operator may only look.
        for name, widget in (("task", UnfoldAdminTextInputWidget), ("regtask", TaskSelect)):
            if name in self.fields:
                self.fields[name].widget = widget()
        for name in ("crontab", "interval"):
            if name in self.fields:
                self.fields[name].label_from_instance = spoken
        # The name is what the schedule is known by; a reader of another language is told what it says.
        shown = gettext(self.instance.name) if self.instance.name else ""
        if "name" in self.fields and shown != self.instance.name:
            self.fields["name"].help_text = shown


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(beat.PeriodicTaskAdmin, AuditedAdmin):
    form = PeriodicTaskForm
    # The package's says in English beside the field what its choices say here.
    change_form_template = None
    ordering = ("name",)
    list_display = ("shown_name", "enabled", "shown_schedule", "last_run_at", "total_run_count")
    list_filter = ("enabled",)
    date_hierarchy = None
    # Not the package's actions, which ask for no right, and run what must not run twice.
    actions = ("enable", "disable", "run_now")
    actions_detail = ("run_now",)

    @display(description=_("name"), ordering="name")
    def shown_name(self, task: PeriodicTask) -> str:
        return gettext(task.name)

    @display(description=_("schedule"))
    def shown_schedule(self, task: PeriodicTask) -> str:
        return spoken(task.scheduler)

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if context.get("original"):
            context["original"] = context["subtitle"] = InWords(context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return [
            (
                title,
                {**options, "fields": [name for name in options["fields"] if name != "crontab_translation"]},
            )
            for title, options in super().get_fieldsets(request, obj)
        ]

    @deed(description=_("Enable"), permission="change")
    def enable(self, request: HttpRequest, rows: QuerySet[PeriodicTask], given: dict[str, Any]) -> None:
        self.switch(rows, on=True)

    @deed(description=_("Disable"), permission="change")
    def disable(self, request: HttpRequest, rows: QuerySet[PeriodicTask], given: dict[str, Any]) -> None:
        self.switch(rows, on=False)

    def switch(self, rows: QuerySet[PeriodicTask], *, on: bool) -> None:
        for task in rows:
            task.enabled = on
            task.save()  # by which the scheduler hears of it

    @deed(
        description=_("Run now"),
        permission="change",
        icon="play_arrow",
        text=_("Runs it once more than scheduled. Only for tasks that do no harm when they run twice."),
        fits=lambda task: task.task.startswith(OURS),
    )
    def run_now(self, request: HttpRequest, rows: QuerySet[PeriodicTask], given: dict[str, Any]) -> None:
        for task in rows:
            if not task.task.startswith(OURS):
                text = _("%(name)s is not run: nobody has said that it may run twice.")
                messages.warning(request, text % {"name": gettext(task.name)})
                continue
            current_app.send_task(
                task.task,
                args=json.loads(task.args),
                kwargs=json.loads(task.kwargs),
                queue=task.queue or None,
                headers={"periodic_task_name": task.name},
            )
            messages.success(request, _("%(name)s was started.") % {"name": gettext(task.name)})


STATUSES = {
    "SUCCESS": _("Succeeded"),
    "FAILURE": _("Failed"),
    "RETRY": _("Tried again"),
    "REVOKED": _("Revoked"),
    "STARTED": _("Started"),
    "PENDING": _("Waiting"),
}


class StatusFilter(admin.SimpleListFilter):
    """By status, in words."""

    title = _("status")
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, page: Any) -> list[tuple[str, Any]]:
        return list(STATUSES.items())

    def queryset(self, request: HttpRequest, rows: QuerySet[TaskResult]) -> QuerySet[TaskResult]:
        return rows.filter(status=self.value()) if self.value() else rows


@admin.register(TaskResult)
class TaskResultAdmin(ReadOnlyAdmin):
    """What failed in the background, and how the scheduled tasks ended. Rows go after CELERY_RESULT_EXPIRES."""

    list_display = ("date_done", "task_name", "shown_schedule", "shown_status", "worker")
    list_filter = (StatusFilter,)
    search_fields = ("task_name", "=task_id")
    ordering = ("-pk",)
    fields = (
        "task_id", "task_name", "shown_schedule", "status", "worker", "task_args", "date_created",
        "date_started", "date_done", "result", "traceback",
    )  # fmt: skip

    @display(description=_("schedule"), ordering="periodic_task_name")
    def shown_schedule(self, row: Any) -> str:
        return gettext(row.periodic_task_name) if row.periodic_task_name else ""

    @display(
        description=_("status"), ordering="status", label=Colours({"SUCCESS": "success", "FAILURE": "danger"})
    )
    def shown_status(self, row: TaskResult) -> tuple[str, Any]:
        return row.status, STATUSES.get(row.status, row.status)


class PeriodicTaskInline(beat.PeriodicTaskInline, TabularInline):
    hide_title = True  # the package's, in English
    fields = readonly_fields = ("shown_name", "task", "args", "kwargs")

    @display(description=_("name"))
    def shown_name(self, task: PeriodicTask) -> str:
        return gettext(task.name)


class ScheduleAdmin(AuditedAdmin):
    inlines = (PeriodicTaskInline,)

    @display(description=_("schedule"))
    def spoken(self, schedule: Any) -> str:
        return spoken(schedule)


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(ScheduleAdmin, beat.IntervalScheduleAdmin):
    list_display = ("spoken",)


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(ScheduleAdmin, beat.CrontabScheduleAdmin):
    list_display = ("spoken", "minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    fields = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone")
    readonly_fields = ()


@admin.register(ClockedSchedule)
class ClockedScheduleAdmin(ScheduleAdmin, beat.ClockedScheduleAdmin):
    pass


@admin.register(SolarSchedule)
class SolarScheduleAdmin(ScheduleAdmin, beat.SolarScheduleAdmin):
    pass
