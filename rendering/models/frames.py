"""Frames, the attempts at them, and their outputs."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from common.models import Row, StateRow
from drives.models import Blob, File
from rendering.models.jobs import RenderJob, RenderStep
from rendering.models.nodes import RenderNode


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
    limits = ArrayField(models.UUIDField(), verbose_name=_("limits it counts for"), default=list, blank=True)
    memory_size = models.PositiveBigIntegerField(_("memory it may use"), default=0)
    lease_expires_at = models.DateTimeField(_("lease until"))
    progress = models.FloatField(_("progress"), default=0)
    exit_code = models.IntegerField(_("exit code"), null=True, blank=True)
    failure_code = models.CharField(_("failure code"), max_length=50, blank=True)
    message = models.CharField(_("message"), max_length=500, blank=True)
    cpu_seconds = models.FloatField(_("CPU seconds"), default=0)
    peak_memory_size = models.PositiveBigIntegerField(_("peak memory"), default=0)
    log_tail = models.TextField(_("end of the log"), blank=True)
    log_blob = models.ForeignKey(
        Blob,
        models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("log"),
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
            models.Index(fields=["node"], condition=Q(status="running"), name="rendering_attempt_node"),
            models.Index(
                fields=["log_blob"], condition=Q(log_blob__isnull=False), name="rendering_attempt_log"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%H:%M:%S} {self.get_status_display()}"


class Frame(Row):
    """A frame of a step: waiting → ready → running → done | failed | cancelled.

    It waits for other jobs and for the approval of test frames; it is ready again after a lost or failed attempt, and
    when a failed or cancelled one is asked for anew.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        READY = "ready", _("Ready")
        RUNNING = "running", _("Running")
        DONE = "done", _("Rendered")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    OPEN_STATUSES = (Status.WAITING, Status.READY, Status.RUNNING)

    # Every change of a frame's status is written into all of its indexes: those below begin with job and step, too.
    job = models.ForeignKey(
        RenderJob, models.CASCADE, db_index=False, related_name="frames", verbose_name=_("render task")
    )
    step = models.ForeignKey(
        RenderStep, models.CASCADE, db_index=False, related_name="frames", verbose_name=_("render step")
    )
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
    memory_size = models.PositiveBigIntegerField(_("memory needed after running out of it"), default=0)
    failure_code = models.CharField(_("failure code"), max_length=50, blank=True)
    is_failure_charged = models.BooleanField(_("failure charged"), default=False, db_default=False)
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
            models.Index(
                fields=["job", "step", "number"], condition=Q(status="ready"), name="rendering_frame_ready"
            ),
            models.Index(
                fields=["job", "number"], condition=Q(status="waiting"), name="rendering_frame_waiting"
            ),
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
    layer = models.CharField(_("layer or pass"), max_length=255, blank=True)
    width = models.PositiveIntegerField(_("width"))
    height = models.PositiveIntegerField(_("height"))
    is_flat = models.BooleanField(_("of a single colour"), default=False)

    class Meta:
        verbose_name = _("output")
        verbose_name_plural = _("outputs")
        constraints = [models.UniqueConstraint(fields=["frame", "name"], name="rendering_output_name")]

    def __str__(self) -> str:
        return self.name
