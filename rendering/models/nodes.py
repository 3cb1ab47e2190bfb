"""Nodes, and how much may run at once."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.models import Row
from rendering.models.jobs import RenderJob


class RenderNodeQuerySet(models.QuerySet["RenderNode"]):
    def living(self) -> RenderNodeQuerySet:
        """Nodes whose heartbeat is young, by the database's clock."""
        return self.filter(heartbeat_at__gt=Now() - settings.RENDER_LEASE)

    def taking_work(self) -> RenderNodeQuerySet:
        """Living nodes that operators let work and that do not rest after faults."""
        awake = Q(rests_until__isnull=True) | Q(rests_until__lte=Now())
        return self.living().filter(awake, state=RenderNode.State.ENABLED)

    def fit_for(self, job: RenderJob) -> RenderNodeQuerySet:
        """Nodes that have what the job asks for and are not kept from it."""
        versions = [job.engine_version] if job.engine_version else []
        return self.filter(
            engines__contains={job.engine: versions},
            cores__gte=job.min_cores,
            memory_size__gte=job.min_memory_size,
            tags__contains=job.node_tags,
        ).exclude(blocks__job=job)


class RenderNode(Row):
    """A machine (or a share of one) that renders. It keeps renewing `heartbeat_at`; a node that does not is lost.

    `state` is set by operators: a draining node finishes what it runs and takes nothing new, a disabled one gives
    back at once what it runs.
    """

    class State(models.TextChoices):
        ENABLED = "enabled", _("Enabled")
        DRAINING = "draining", _("Draining")
        DISABLED = "disabled", _("Disabled")

    name = models.CharField(_("name"), max_length=100, unique=True)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"), null=True, blank=True)
    cores = models.PositiveIntegerField(_("cores"), default=0)
    memory_size = models.PositiveBigIntegerField(_("memory"), default=0)
    slots = models.PositiveIntegerField(_("frames at once"), default=1)
    engines = models.JSONField(_("engines and their versions"), default=dict, blank=True)
    tags = ArrayField(models.CharField(max_length=50), verbose_name=_("tags"), default=list, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=State.choices, default=State.ENABLED)
    version = models.CharField(_("version of Yuntu"), max_length=50, blank=True)
    load = models.FloatField(_("load"), default=0)
    free_memory_size = models.PositiveBigIntegerField(_("free memory"), default=0)
    rests_until = models.DateTimeField(_("rests after faults until"), null=True, blank=True)
    heartbeat_at = models.DateTimeField(_("last heartbeat"))

    objects = RenderNodeQuerySet.as_manager()

    class Meta:
        verbose_name = _("render node")
        verbose_name_plural = _("render nodes")

    def __str__(self) -> str:
        return self.name

    def is_lost(self, now: datetime) -> bool:
        return now - self.heartbeat_at > settings.RENDER_LEASE

    @property
    def attempt_memory_size(self) -> int:
        """Memory that is one slot's, in bytes."""
        return self.memory_size // max(self.slots, 1)


class NodeBlock(Row):
    """A node that gets no more frames of a job, since the job failed on it too often."""

    job = models.ForeignKey(
        RenderJob, models.CASCADE, related_name="node_blocks", verbose_name=_("render task")
    )
    node = models.ForeignKey(RenderNode, models.CASCADE, related_name="blocks", verbose_name=_("render node"))

    class Meta:
        verbose_name = _("blocked node")
        verbose_name_plural = _("blocked nodes")
        constraints = [models.UniqueConstraint(fields=["node", "job"], name="rendering_nodeblock_once")]

    def __str__(self) -> str:
        return f"{self.node_id} {self.job_id}"


class ConcurrencyLimit(Row):
    """How many attempts run at once for a user, a team or an engine's licence, and how many may.

    `running` is kept by a trigger on attempts (migrations/0011), which also refuses the attempt that would be one
    too many, and adds the seconds of attempts that end to `used_seconds`, of which half counts ten minutes later
    (`rendering_used_lately` in the database). `maximum` null means no limit. Owners share the farm by `weight`.
    """

    class Kind(models.TextChoices):
        USER = "user", _("User")
        TEAM = "team", _("Team")
        LICENCE = "licence", _("Licence")

    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    key = models.CharField(_("of whom or what"), max_length=100)
    maximum = models.PositiveIntegerField(_("at once at most"), null=True, blank=True)
    is_custom = models.BooleanField(_("set by an operator"), default=False)
    weight = models.PositiveSmallIntegerField(_("weight"), default=1)
    running = models.PositiveIntegerField(_("running"), default=0, editable=False)
    used_seconds = models.FloatField(_("seconds of slots used lately"), default=0, editable=False)
    used_at = models.DateTimeField(_("as of"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("limit")
        verbose_name_plural = _("limits")
        constraints = [
            models.UniqueConstraint(fields=["kind", "key"], name="rendering_limit_subject"),
            models.CheckConstraint(condition=Q(weight__gte=1), name="rendering_limit_weight_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class WaitingOwner(models.Model):
    """A mark that an owner has ready frames of an engine at a priority. It is there whenever there are some, and for
    a while afterwards.

    A trigger on jobs makes it (migrations/0020), `claims.forget_emptied` takes it away. Two transactions at once may
    make two marks: that costs a claim a second look. `since` is the submission of the job that brought it.
    """

    share = models.ForeignKey(
        ConcurrencyLimit, models.CASCADE, related_name="+", verbose_name=_("whose fair share")
    )
    engine = models.CharField(_("engine"), max_length=20)
    priority = models.PositiveSmallIntegerField(_("priority"), choices=RenderJob.Priority.choices)
    since = models.DateTimeField(_("since"))

    class Meta:
        verbose_name = _("owner that waits")
        verbose_name_plural = _("owners that wait")

    def __str__(self) -> str:
        return str(self.share_id)
