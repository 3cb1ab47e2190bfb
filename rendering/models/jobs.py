"""Jobs, their steps and what they need."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Team, User
from billing.models import Hold, MoneyField, PriceRule
from billing.models import Priority as JobPriority
from common.errors import TransitionNotAllowed
from common.models import Row, StateRow
from drives.models import Blob, Drive, File


class RenderJobQuerySet(models.QuerySet["RenderJob"]):
    def visible_to(self, user: User) -> RenderJobQuerySet:
        return self.filter(user=user, deleted_at__isnull=True)


class RenderJob(StateRow):
    """A scene to render, frame by frame. On the wire it is a "task".

    draft ──submit──▶ pending ──pre-flight, hold──▶ queued ──first frame──▶ rendering ──▶ completed | failed
      ▲                  │                          ▲ ▲  └──────┬──────────────┘              │
      └──refused later───┘                          │ └──────paused                           │
                                                    └──────failed retried, further frames─────┘
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

    Priority = JobPriority

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
        Status.COMPLETED: {Status.QUEUED},
        Status.FAILED: {Status.QUEUED},
    }
    FINAL_STATUSES = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)
    CLAIMABLE_STATUSES = (Status.QUEUED, Status.RENDERING)
    OPEN_STATUSES = (Status.DRAFT, Status.PENDING, Status.QUEUED, Status.RENDERING, Status.PAUSED)
    ACTIONS = {
        "submit": (Status.DRAFT,),
        "change": (Status.DRAFT,),
        "pause": CLAIMABLE_STATUSES,
        "resume": (Status.DRAFT, Status.PAUSED),
        "approve": (Status.PAUSED,),
        "retry": (*CLAIMABLE_STATUSES, Status.PAUSED, Status.FAILED),
        "add_frames": (*CLAIMABLE_STATUSES, Status.PAUSED, Status.COMPLETED, Status.FAILED),
        "set_priority": OPEN_STATUSES,
        "set_dependencies": OPEN_STATUSES,
        "cancel": OPEN_STATUSES,
        "clone": (*OPEN_STATUSES, *FINAL_STATUSES),
        "delete": (Status.DRAFT, Status.PENDING, Status.QUEUED, Status.PAUSED, *FINAL_STATUSES),
    }

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="render_jobs", verbose_name=_("owner")
    )
    drive = models.ForeignKey(Drive, models.PROTECT, related_name="+", verbose_name=_("drive"))
    team = models.ForeignKey(
        Team, models.PROTECT, null=True, blank=True, related_name="render_jobs", verbose_name=_("team")
    )
    task_name = models.CharField(_("name"), max_length=200)
    scene_file = models.ForeignKey(
        File, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("scene")
    )
    scene_path = models.CharField(_("scene path"), max_length=1100, blank=True)
    engine = models.CharField(_("engine"), max_length=20, blank=True)
    engine_options = models.JSONField(_("engine options"), default=dict, blank=True)
    engine_version = models.CharField(_("engine version"), max_length=40, blank=True)
    maya_version = models.CharField(_("Maya version"), max_length=20, blank=True)
    renderer = models.CharField(_("renderer"), max_length=50, blank=True)
    status = models.PositiveSmallIntegerField(_("status"), choices=Status.choices, default=Status.DRAFT)
    pause_reason = models.CharField(
        _("pause reason"), max_length=20, choices=PauseReason.choices, default=PauseReason.NONE, blank=True
    )
    priority = models.PositiveSmallIntegerField(
        _("priority"), choices=Priority.choices, default=Priority.NORMAL
    )
    frame_range = models.CharField(_("frames"), max_length=2000, blank=True)
    chunk_size = models.PositiveSmallIntegerField(
        _("frames per attempt"),
        null=True,
        blank=True,
        help_text=_("Where it says nothing, the farm chooses by the time that frames take."),
    )
    cameras = ArrayField(
        models.CharField(max_length=255), verbose_name=_("cameras"), default=list, blank=True
    )
    layers = ArrayField(
        models.CharField(max_length=255), verbose_name=_("render layers"), default=list, blank=True
    )
    min_cores = models.PositiveSmallIntegerField(_("cores needed"), default=0)
    min_memory_size = models.PositiveBigIntegerField(_("memory needed"), default=0)
    node_tags = ArrayField(
        models.CharField(max_length=50), verbose_name=_("node tags needed"), default=list, blank=True
    )
    has_test_frames = models.BooleanField(_("test frames first"), default=False)
    test_numbers = ArrayField(
        models.IntegerField(), verbose_name=_("numbers of the test frames"), default=list, blank=True
    )
    approved_at = models.DateTimeField(_("test frames approved at"), null=True, blank=True)
    width = models.PositiveIntegerField(_("width"), null=True, blank=True)
    height = models.PositiveIntegerField(_("height"), null=True, blank=True)
    output_format = models.CharField(_("output format"), max_length=20, blank=True)
    output_path = models.CharField(_("output path at the client"), max_length=500, blank=True)
    output_folder = models.CharField(_("output folder"), max_length=1024, blank=True)
    asset_paths = models.JSONField(_("where named files lie"), default=dict, blank=True)
    asset_choices = models.JSONField(_("the artist's choice of files"), default=dict, blank=True)
    allow_missing = models.BooleanField(_("missing files allowed"), default=False)
    total_frames = models.PositiveIntegerField(_("frames in all"), default=0)
    done_frames = models.PositiveIntegerField(_("frames rendered"), default=0)
    failed_frames = models.PositiveIntegerField(_("frames failed"), default=0)
    charged_frames = models.PositiveIntegerField(_("frames charged"), default=0)
    charged_hours = models.DecimalField(_("hours charged"), max_digits=18, decimal_places=6, default=0)
    capture_due_at = models.DateTimeField(_("charged next"), null=True, blank=True)
    has_ready_frames = models.BooleanField(_("has ready frames"), default=False)
    ready_changes = models.PositiveBigIntegerField(_("times frames became ready"), default=0)
    limits = ArrayField(models.UUIDField(), verbose_name=_("limits that count"), default=list, blank=True)
    share = models.ForeignKey(
        "ConcurrencyLimit",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("whose fair share"),
    )
    contact_sheet = models.ForeignKey(
        Blob, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("contact sheet")
    )
    preview_video = models.ForeignKey(
        Blob, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("preview video")
    )
    price_rule = models.ForeignKey(
        PriceRule, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("price rule")
    )
    price_version = models.PositiveIntegerField(_("version of the price rule"), null=True, blank=True)
    price_unit = models.CharField(
        _("unit that is paid"), max_length=20, choices=PriceRule.Unit.choices, default=PriceRule.Unit.FRAME
    )
    base_price = MoneyField(_("price of the rule"), null=True, blank=True)
    price_multiplier = models.DecimalField(
        _("multiplier of the priority"), max_digits=6, decimal_places=3, default=1
    )
    price_discount = models.DecimalField(
        _("discount of the membership"), max_digits=4, decimal_places=3, default=0
    )
    unit_price = MoneyField(_("price of a unit"), null=True, blank=True)
    estimated_cost = MoneyField(_("estimated cost"), null=True, blank=True)
    actual_cost = MoneyField(_("actual cost"), null=True, blank=True)
    hold = models.ForeignKey(
        Hold, models.PROTECT, null=True, blank=True, db_index=False, related_name="+", verbose_name=_("hold")
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
            # With a condition, so that PostgreSQL does not count the column as part of a key: whoever holds money anew
            # would wait for claims, which lock the job's key, with the wallet locked.
            models.UniqueConstraint(
                fields=["hold"], condition=Q(hold__isnull=False), name="rendering_job_hold"
            ),
            models.CheckConstraint(
                condition=Q(total_frames__gte=F("done_frames") + F("failed_frames")),
                name="rendering_job_frames_bounded",
            ),
            models.CheckConstraint(
                condition=Q(charged_frames__lte=F("done_frames")), name="rendering_job_charged_frames_done"
            ),
            models.CheckConstraint(condition=Q(chunk_size__gte=1), name="rendering_job_chunk_not_empty"),
            models.CheckConstraint(
                condition=Q(status=4) & ~Q(pause_reason="") | ~Q(status=4) & Q(pause_reason=""),
                name="rendering_job_paused_for_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-created_at"], name="rendering_job_user"),
            # Read by claims: the jobs of an engine, a priority and an owner in their order.
            models.Index(
                F("engine"),
                F("priority") * -1,
                F("share"),
                F("submitted_at"),
                F("id"),
                condition=Q(status__in=[2, 3], has_ready_frames=True),
                name="rendering_job_turn",
            ),
            models.Index(fields=["submitted_at"], condition=Q(status=1), name="rendering_job_pending"),
            models.Index(fields=["engine"], condition=Q(status__in=[2, 3]), name="rendering_job_claimable"),
            models.Index(
                fields=["completed_at"],
                condition=Q(contact_sheet__isnull=True, done_frames__gt=0, status__in=[5, 6, 7]),
                name="rendering_job_undrawn",
            ),
            models.Index(
                fields=["capture_due_at"],
                condition=Q(capture_due_at__isnull=False),
                name="rendering_job_capture_due",
            ),
            # Jobs that are paid by the hour and may outgrow their hold; those that wait for money.
            models.Index(
                fields=["id"],
                condition=Q(status__in=[2, 3], price_unit__in=["core_hour", "node_hour"]),
                name="rendering_job_metered",
            ),
            models.Index(fields=["hold"], condition=Q(pause_reason="balance"), name="rendering_job_unpaid"),
        ]

    def __str__(self) -> str:
        return self.task_name

    @property
    def status_name(self) -> str:
        return self.Status(self.status).name.lower()

    @property
    def actions(self) -> list[str]:
        """What the owner may do with the job in its present state."""
        idle = {
            "approve": self.pause_reason != self.PauseReason.APPROVAL,
            "resume": self.pause_reason == self.PauseReason.OPERATOR,
            "retry": not self.failed_frames,
        }
        return [
            name for name, statuses in self.ACTIONS.items() if self.status in statuses and not idle.get(name)
        ]

    def refusal(self) -> TransitionNotAllowed:
        """The error that names the present status, the actions possible in it, and the statuses it may move to."""
        error = super().refusal()
        error.data |= {"allowed": self.actions, "allowed_statuses": error.data["allowed"]}
        return error

    @property
    def progress(self) -> int:
        """Per cent of the frames that are over."""
        return 100 * (self.done_frames + self.failed_frames) // self.total_frames if self.total_frames else 0


class RenderStep(Row):
    """A part of a job that is rendered with the same settings: a camera, a render layer, or `main`, as the scene has
    it.

    `chunk_size` is how many of its frames fit into an attempt, by the time that they take. It is used where the job
    leaves that choice to the farm.
    """

    MAIN = "main"

    job = models.ForeignKey(RenderJob, models.CASCADE, related_name="steps", verbose_name=_("render task"))
    name = models.CharField(_("name"), max_length=520, default=MAIN)
    camera = models.CharField(_("camera"), max_length=255, blank=True)
    layer = models.CharField(_("render layer"), max_length=255, blank=True)
    chunk_size = models.PositiveSmallIntegerField(
        _("frames that fit into an attempt"), default=1, db_default=1, editable=False
    )

    class Meta:
        verbose_name = _("render step")
        verbose_name_plural = _("render steps")
        constraints = [
            models.UniqueConstraint(fields=["job", "name"], name="rendering_step_name"),
            models.CheckConstraint(condition=Q(chunk_size__gte=1), name="rendering_step_chunk_not_empty"),
        ]
        # A claim asks it of every job; of most there is nothing in it.
        indexes = [models.Index(fields=["job"], condition=Q(chunk_size__gt=1), name="rendering_step_chunks")]

    def __str__(self) -> str:
        return self.name


class JobDependency(Row):
    """A job whose frames wait for another: for all of it, or each for the frame with the same number."""

    class Kind(models.TextChoices):
        JOB = "job", _("Whole task")
        FRAME = "frame", _("Frame by frame")

    job = models.ForeignKey(
        RenderJob, models.CASCADE, related_name="dependencies", verbose_name=_("render task")
    )
    on = models.ForeignKey(RenderJob, models.CASCADE, related_name="dependents", verbose_name=_("waits for"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices, default=Kind.JOB)

    class Meta:
        verbose_name = _("dependency")
        verbose_name_plural = _("dependencies")
        constraints = [
            models.UniqueConstraint(fields=["job", "on"], name="rendering_dependency_once"),
            models.CheckConstraint(condition=~Q(job=F("on")), name="rendering_dependency_not_on_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} → {self.on_id}"


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
