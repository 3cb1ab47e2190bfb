"""Jobs, frames, attempts, and the nodes that render them."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from billing.models import Hold, MoneyField, PriceRule
from common.models import Row, StateRow
from drives.models import Blob, Drive, File


class RenderJobQuerySet(models.QuerySet["RenderJob"]):
    def visible_to(self, user: User) -> RenderJobQuerySet:
        return self.filter(user=user, deleted_at__isnull=True)


class RenderJob(StateRow):
    """A scene to render, frame by frame. On the wire it is a "task".

    draft ──submit──▶ pending ──pre-flight, hold──▶ queued ──first frame──▶ rendering ──▶ completed | failed
      ▲                  │                           ▲  └──────┬──────────────┘
      └──refused later───┘                           └──────paused
    draft, pending, queued, rendering, paused ──▶ cancelled
    """

    class Status(models.IntegerChoices):
        DRAFT = 0, _("Draft")
        PENDING = 1, _("Pending")
        QUEUED = 2, _("Queued")
        RENDERING = 3, _("Rendering")
        PAUSED = 4, _("Paused")
        COMPLETED = 5, _("Completed")
        FAILED = 6, _("Failed")
        CANCELLED = 7, _("Cancelled")

    class Priority(models.IntegerChoices):
        LOW = 0, _("Low")
        NORMAL = 1, _("Normal")
        HIGH = 2, _("High")
        URGENT = 3, _("Urgent")

    class PauseReason(models.TextChoices):
        NONE = "", _("Not paused")
        USER = "user", _("By the user")
        BALANCE = "balance", _("Balance exhausted")
        OPERATOR = "operator", _("By an operator")
        APPROVAL = "approval", _("Waiting for approval")

    TRANSITIONS = {
        Status.DRAFT: {Status.PENDING, Status.CANCELLED},
        Status.PENDING: {Status.QUEUED, Status.DRAFT, Status.CANCELLED},
        Status.QUEUED: {Status.RENDERING, Status.PAUSED, Status.CANCELLED},
        Status.RENDERING: {Status.PAUSED, Status.COMPLETED, Status.FAILED, Status.CANCELLED},
        Status.PAUSED: {Status.QUEUED, Status.CANCELLED},
    }
    FINAL_STATUSES = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    CLAIMABLE_STATUSES = (Status.QUEUED, Status.RENDERING)

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="render_jobs", verbose_name=_("owner")
    )
    drive = models.ForeignKey(Drive, models.PROTECT, related_name="+", verbose_name=_("drive"))
    task_name = models.CharField(_("name"), max_length=200)
    scene_file = models.ForeignKey(
        File, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("scene")
    )
    scene_path = models.CharField(_("scene path"), max_length=1100, blank=True)
    engine = models.CharField(_("engine"), max_length=20, blank=True)
    engine_options = models.JSONField(_("engine options"), default=dict, blank=True)
    maya_version = models.CharField(_("Maya version"), max_length=20, blank=True)
    renderer = models.CharField(_("renderer"), max_length=50, blank=True)
    status = models.PositiveSmallIntegerField(_("status"), choices=Status.choices, default=Status.DRAFT)
    pause_reason = models.CharField(
        _("pause reason"), max_length=20, choices=PauseReason.choices, default=PauseReason.NONE, blank=True
    )
    priority = models.PositiveSmallIntegerField(
        _("priority"), choices=Priority.choices, default=Priority.NORMAL
    )
    frame_range = models.CharField(_("frames"), max_length=500, blank=True)
    width = models.PositiveIntegerField(_("width"), null=True, blank=True)
    height = models.PositiveIntegerField(_("height"), null=True, blank=True)
    output_format = models.CharField(_("output format"), max_length=20, blank=True)
    output_path = models.CharField(_("output path at the client"), max_length=500, blank=True)
    output_folder = models.CharField(_("output folder"), max_length=1024, blank=True)
    asset_paths = models.JSONField(_("where named files lie"), default=dict, blank=True)
    allow_missing = models.BooleanField(_("missing files allowed"), default=False)
    total_frames = models.PositiveIntegerField(_("frames in all"), default=0)
    done_frames = models.PositiveIntegerField(_("frames rendered"), default=0)
    failed_frames = models.PositiveIntegerField(_("frames failed"), default=0)
    price_rule = models.ForeignKey(
        PriceRule, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("price rule")
    )
    unit_price = MoneyField(_("price per frame"), null=True, blank=True)
    estimated_cost = MoneyField(_("estimated cost"), null=True, blank=True)
    actual_cost = MoneyField(_("actual cost"), null=True, blank=True)
    hold = models.OneToOneField(
        Hold, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("hold")
    )
    failure_code = models.CharField(_("failure code"), max_length=50, blank=True)
    failure_data = models.JSONField(_("failure data"), default=dict, blank=True)
    error_message = models.TextField(_("error"), blank=True)
    submitted_at = models.DateTimeField(_("submitted at"), null=True, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)

    objects = RenderJobQuerySet.as_manager()

    class Meta:
        verbose_name = _("render task")
        verbose_name_plural = _("render tasks")
        constraints = [
            models.CheckConstraint(
                condition=Q(total_frames__gte=F("done_frames") + F("failed_frames")),
                name="rendering_job_frames_bounded",
            ),
            models.CheckConstraint(
                condition=Q(status=4) & ~Q(pause_reason="") | ~Q(status=4) & Q(pause_reason=""),
                name="rendering_job_paused_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="rendering_job_user"),
            models.Index(
                fields=["engine", "-priority", "submitted_at"],
                condition=Q(status__in=[2, 3]),
                name="rendering_job_claimable",
            ),
            models.Index(fields=["submitted_at"], condition=Q(status=1), name="rendering_job_pending"),
        ]

    def __str__(self) -> str:
        return self.task_name

    @property
    def status_name(self) -> str:
        return self.Status(self.status).name.lower()

    @property
    def progress(self) -> int:
        """Per cent of the frames that are over."""
        return 100 * (self.done_frames + self.failed_frames) // self.total_frames if self.total_frames else 0


class RenderStep(Row):
    """A part of a job that is rendered with one setting (camera, layer); for now one, `main`."""

    job = models.ForeignKey(RenderJob, models.CASCADE, related_name="steps", verbose_name=_("render task"))
    name = models.CharField(_("name"), max_length=100, default="main")

    class Meta:
        verbose_name = _("render step")
        verbose_name_plural = _("render steps")
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="rendering_step_name")]

    def __str__(self) -> str:
        return self.name


class RenderNode(Row):
    """A machine (or a share of one) that renders. It renews `heartbeat_at`; offline is what does not."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"), null=True, blank=True)
    cores = models.PositiveIntegerField(_("cores"), default=0)
    memory_size = models.PositiveBigIntegerField(_("memory"), default=0)
    slots = models.PositiveIntegerField(_("frames at once"), default=1)
    engines = models.JSONField(_("engines"), default=dict, blank=True)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"))

    class Meta:
        verbose_name = _("render node")
        verbose_name_plural = _("render nodes")

    def __str__(self) -> str:
        return self.name

    def is_online(self, now: datetime) -> bool:
        return now - self.heartbeat_at <= settings.RENDER_LEASE


class Attempt(StateRow):
    """One process run over one or more frames; its id is the token without which no result is taken.

    running ──▶ succeeded | failed (scene or engine) | lost (node or lease gone) | stopped (pause, cancel)
    """

    class Status(models.TextChoices):
        RUNNING = "running", _("Running")
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        LOST = "lost", _("Lost")
        STOPPED = "stopped", _("Stopped")

    TRANSITIONS = {Status.RUNNING: {Status.SUCCEEDED, Status.FAILED, Status.LOST, Status.STOPPED}}

    job = models.ForeignKey(RenderJob, models.CASCADE, related_name="attempts", verbose_name=_("render task"))
    step = models.ForeignKey(
        RenderStep, models.CASCADE, related_name="attempts", verbose_name=_("render step")
    )
    node = models.ForeignKey(
        RenderNode,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="attempts",
        verbose_name=_("render node"),
    )
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.RUNNING)
    lease_expires_at = models.DateTimeField(_("lease until"))
    progress = models.FloatField(_("progress"), default=0)
    exit_code = models.IntegerField(_("exit code"), null=True, blank=True)
    failure_code = models.CharField(_("failure code"), max_length=50, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True)
    cpu_seconds = models.FloatField(_("CPU seconds"), default=0)
    peak_memory_size = models.PositiveBigIntegerField(_("peak memory"), default=0)
    log_tail = models.TextField(_("end of the log"), blank=True)
    log_blob = models.ForeignKey(
        Blob, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("log")
    )
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        indexes = [
            models.Index(
                fields=["lease_expires_at"], condition=Q(status="running"), name="rendering_attempt_leases"
            ),
            models.Index(fields=["job"], condition=Q(status="running"), name="rendering_attempt_running"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.status}"


class Frame(Row):
    """A frame of a step: ready → running → done | failed | cancelled; back to ready after a lost or failed attempt."""

    class Status(models.TextChoices):
        READY = "ready", _("Ready")
        RUNNING = "running", _("Running")
        DONE = "done", _("Rendered")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    job = models.ForeignKey(RenderJob, models.CASCADE, related_name="frames", verbose_name=_("render task"))
    step = models.ForeignKey(RenderStep, models.CASCADE, related_name="frames", verbose_name=_("render step"))
    number = models.IntegerField(_("number"))
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.READY)
    attempt = models.ForeignKey(
        Attempt,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="current_frames",
        verbose_name=_("attempt"),
    )
    attempts = models.ManyToManyField(Attempt, related_name="frames", verbose_name=_("attempts"))
    failures = models.PositiveSmallIntegerField(_("failed attempts"), default=0)
    losses = models.PositiveSmallIntegerField(_("lost attempts"), default=0)
    failure_code = models.CharField(_("failure code"), max_length=50, blank=True)
    seconds = models.FloatField(_("render time"), null=True, blank=True)
    due_at = models.DateTimeField(_("not before"), null=True, blank=True)

    class Meta:
        verbose_name = _("frame")
        verbose_name_plural = _("frames")
        constraints = [
            models.UniqueConstraint(fields=["step", "number"], name="rendering_frame_number"),
            models.CheckConstraint(
                condition=~Q(status="running") | Q(attempt__isnull=False),
                name="rendering_frame_running_has_attempt",
            ),
        ]
        indexes = [
            models.Index(fields=["job", "number"], condition=Q(status="ready"), name="rendering_frame_ready"),
            models.Index(fields=["job", "status"], name="rendering_frame_status"),
        ]

    def __str__(self) -> str:
        return str(self.number)


class FrameOutput(Row):
    """A checked result of a frame: a file of the drive, its picture size, its preview."""

    frame = models.ForeignKey(Frame, models.CASCADE, related_name="outputs", verbose_name=_("frame"))
    attempt = models.ForeignKey(Attempt, models.CASCADE, related_name="outputs", verbose_name=_("attempt"))
    name = models.CharField(_("name"), max_length=255)
    file = models.ForeignKey(
        File, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("file")
    )
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="+", verbose_name=_("blob"))
    preview = models.ForeignKey(
        Blob, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("preview")
    )
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))

    class Meta:
        verbose_name = _("output")
        verbose_name_plural = _("outputs")
        constraints = [models.UniqueConstraint(fields=["frame", "name"], name="rendering_output_name")]

    def __str__(self) -> str:
        return self.name


class JobFile(Row):
    """A file a job renders from, fixed at submit: later changes in the drive do not reach a running job."""

    job = models.ForeignKey(RenderJob, models.CASCADE, related_name="files", verbose_name=_("render task"))
    path = models.CharField(_("path"), max_length=1400)
    blob = models.ForeignKey(Blob, models.PROTECT, related_name="+", verbose_name=_("blob"))
    is_scene = models.BooleanField(_("scene"), default=False)

    class Meta:
        verbose_name = _("input file")
        verbose_name_plural = _("input files")
        constraints = [models.UniqueConstraint(fields=["job", "path"], name="rendering_jobfile_path")]

    def __str__(self) -> str:
        return self.path


class JobLog(models.Model):
    """A line for the owner of a job."""

    class Level(models.TextChoices):
        INFO = "INFO", _("Info")
        WARNING = "WARNING", _("Warning")
        ERROR = "ERROR", _("Error")

    id = models.BigAutoField(primary_key=True)
    job = models.ForeignKey(RenderJob, models.CASCADE, related_name="logs", verbose_name=_("render task"))
    log_level = models.CharField(_("level"), max_length=10, choices=Level.choices, default=Level.INFO)
    message = models.TextField(_("message"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("task log line")
        verbose_name_plural = _("task log")
        indexes = [models.Index(fields=["job", "-id"], name="rendering_joblog_newest")]

    def __str__(self) -> str:
        return self.message


class SceneReport(StateRow):
    """What the pre-flight found in a scene, kept per content: pending → ready | failed, failed → pending later."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")

    TRANSITIONS = {Status.PENDING: {Status.READY, Status.FAILED}, Status.FAILED: {Status.PENDING}}

    blob = models.ForeignKey(Blob, models.CASCADE, related_name="scene_reports", verbose_name=_("blob"))
    engine = models.CharField(_("engine"), max_length=20)
    status = models.CharField(_("status"), max_length=20, choices=Status.choices, default=Status.PENDING)
    due_at = models.DateTimeField(_("to be inspected at"))
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    data = models.JSONField(_("findings"), default=dict, blank=True)
    failure_code = models.CharField(_("failure code"), max_length=50, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("scene report")
        verbose_name_plural = _("scene reports")
        constraints = [models.UniqueConstraint(fields=["blob", "engine"], name="rendering_report_content")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="pending"), name="rendering_report_due")
        ]

    def __str__(self) -> str:
        return f"{self.engine} {self.status}"
