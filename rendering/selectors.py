"""Reads of rendering."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, Q, Subquery, When
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from billing.errors import NoPrice
from billing.services.prices import price_of
from rendering.engines import is_offered
from rendering.models import ConcurrencyLimit, Frame, JobDependency, NodeBlock, RenderJob, RenderNode


def offered_engines() -> dict[str, list[str]]:
    """Engines that nodes in service have and the settings offer, with their versions."""
    found: dict[str, set[str]] = {}
    enabled = RenderNode.objects.filter(state=RenderNode.State.ENABLED)
    for engines in enabled.values_list("engines", flat=True):
        for name, versions in engines.items():
            if is_offered(name):
                found.setdefault(name, set()).update(versions)
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def client_config() -> dict[str, Any]:
    """Engines that can be asked for, and by what each is paid; null where there is no price yet.

    `price_per_frame` only where frames are paid, at normal priority and without a discount.
    """
    engines = []
    for name, versions in offered_engines().items():
        try:
            rule = price_of(engine=name).rule
            per_frame = rule.price if rule.unit == rule.Unit.FRAME else None
            price = {
                "price_per_frame": per_frame,
                "unit": rule.unit,
                "price": rule.price,
                "currency": rule.currency,
            }
        except NoPrice:
            price = dict.fromkeys(("price_per_frame", "unit", "price", "currency"))
        engines.append({"name": name, "versions": versions, **price})
    return {"engines": engines}


@dataclass(frozen=True)
class Waiting:
    """Why nothing of a job is being rendered: a stable code, a sentence for its owner, and until when, if that is
    known.
    """

    code: str
    message: str
    until: datetime | None = None

    @property
    def is_stranded(self) -> bool:
        """Whether it waits until somebody acts: no node can render it."""
        return self.code.startswith("no_")


def waiting_reason(job: RenderJob) -> Waiting | None:
    """Why a queued or rendering job has nothing running; None where it has, or is in another status."""
    return waiting_reasons([job]).get(job.pk)


def waiting_reasons(jobs: Sequence[RenderJob]) -> dict[UUID, Waiting]:
    """The reasons of those of `jobs` that wait, by job id, in five statements however many jobs there are.

    Codes: `dependency`, `approval`, `no_node`, `no_version`, `no_cores`, `no_memory`, `no_tags`, `no_unblocked_node`,
    `limit_user`, `limit_team`, `limit_licence`, `not_due`, `queue` (others are before it).
    """
    open_jobs = {job.pk: job for job in jobs if job.status in RenderJob.CLAIMABLE_STATUSES}
    if not open_jobs:
        return {}
    nodes = list(RenderNode.objects.taking_work())
    blocks: dict[UUID, set[UUID]] = defaultdict(set)
    for job_id, node_id in NodeBlock.objects.filter(job__in=open_jobs).values_list("job", "node"):
        blocks[job_id].add(node_id)
    reached = reached_limits(open_jobs.values())
    dependencies = JobDependency.objects.filter(job__in=open_jobs)
    upstream = set(dependencies.exclude(on__status=RenderJob.Status.COMPLETED).values_list("job", flat=True))
    found = {}
    for facts in frame_facts(open_jobs):
        job = open_jobs[facts["pk"]]
        reason: Waiting | None = None
        if facts["runs"]:
            continue
        if facts["is_ready"]:
            reason = (
                lacking(job, nodes, blocks[job.pk], memory_needed(job, facts))
                or limit_of(job, reached)
                or not_due(facts)
            )
            reason = reason or Waiting("queue", _("Others are first."))
        elif facts["waits"]:
            reason = waits_for_others(is_dependent=job.pk in upstream)
        if reason:
            found[job.pk] = reason
    return found


def frame_facts(jobs: Iterable[UUID]) -> Iterable[dict[str, Any]]:
    """For each job: whether it has frames that run, are ready, are due, or wait; when the first is due; and the
    memory in bytes that the least demanding ready frame needs.
    """

    def has(status: Frame.Status, *more: Q) -> Exists:
        return Exists(Frame.objects.filter(*more, job=OuterRef("pk"), status=status))

    def least(field: str) -> Subquery:
        ready = Frame.objects.filter(job=OuterRef("pk"), status=Frame.Status.READY)
        return Subquery(ready.order_by(field).values(field)[:1])

    due = Q(due_at__isnull=True) | Q(due_at__lte=Now())
    is_frugal = has(Frame.Status.READY, Q(memory_size__lte=OuterRef("min_memory_size")))
    rows = RenderJob.objects.filter(pk__in=list(jobs)).annotate(
        runs=has(Frame.Status.RUNNING),
        is_ready=has(Frame.Status.READY),
        is_due=has(Frame.Status.READY, due),
        waits=has(Frame.Status.WAITING),
        # A hundred thousand frames are looked through only where none of them tells at once.
        until=Case(When(has(Frame.Status.READY, due), then=None), default=least("due_at")),
        least_memory=Case(When(is_frugal, then=None), default=least("memory_size")),
    )
    columns = ("pk", "runs", "is_ready", "is_due", "waits", "until", "least_memory")
    return cast(Iterable[dict[str, Any]], rows.values(*columns))


def waits_for_others(*, is_dependent: bool) -> Waiting:
    if is_dependent:
        return Waiting("dependency", _("It waits for the tasks it depends on."))
    return Waiting("approval", _("It waits for the approval of its test frames."))


def missing_node(job: RenderJob) -> Waiting | None:
    """What the job's ready frames need and no node in service has."""
    blocked = set(NodeBlock.objects.filter(job=job).values_list("node", flat=True))
    facts = next(iter(frame_facts([job.pk])))
    return lacking(job, list(RenderNode.objects.taking_work()), blocked, memory_needed(job, facts))


def memory_needed(job: RenderJob, facts: dict[str, Any]) -> int:
    """Bytes that a node must have to take any ready frame of the job. Frames that ran out of memory need more."""
    return max(job.min_memory_size, facts["least_memory"] or 0)


def lacking(job: RenderJob, nodes: list[RenderNode], blocked: set[UUID], memory: int) -> Waiting | None:
    """What the job's ready frames need and none of `nodes` has that are not `blocked` for it."""
    needs: list[tuple[str, Callable[[RenderNode], bool], str]] = [
        (
            "no_node",
            lambda node: job.engine in node.engines,
            _("No render node with %(engine)s is in service."),
        ),
        (
            "no_version",
            lambda node: not job.engine_version or job.engine_version in node.engines[job.engine],
            _("No render node in service has %(engine)s %(version)s."),
        ),
        (
            "no_cores",
            lambda node: node.cores >= job.min_cores,
            _("No render node in service has %(cores)s cores."),
        ),
        (
            "no_memory",
            lambda node: node.memory_size >= memory,
            _("No render node in service has %(memory)s GB of memory.")
            if memory == job.min_memory_size
            else _(
                "Its frames ran out of memory, and no render node in service has the %(memory)s GB to try again."
            ),
        ),
        (
            "no_tags",
            lambda node: set(job.node_tags) <= set(node.tags),
            _("No render node in service has the tags %(tags)s."),
        ),
        (
            "no_unblocked_node",
            lambda node: node.pk not in blocked,
            _("All render nodes in service failed this task repeatedly."),
        ),
    ]
    values = {
        "engine": job.engine,
        "version": job.engine_version,
        "cores": job.min_cores,
        "memory": f"{memory / 1e9:.4g}",
        "tags": ", ".join(job.node_tags),
    }
    for code, has, text in needs:
        nodes = [node for node in nodes if has(node)]
        if not nodes:
            return Waiting(code, text % values)
    return None


def reached_limits(jobs: Iterable[RenderJob]) -> list[ConcurrencyLimit]:
    """Limits of `jobs` that are reached, by kind."""
    limits = {limit for job in jobs for limit in job.limits}
    rows = ConcurrencyLimit.objects.filter(pk__in=limits, running__gte=F("maximum"))
    return list(rows.order_by("kind"))


def limit_of(job: RenderJob, reached: list[ConcurrencyLimit]) -> Waiting | None:
    texts = {
        ConcurrencyLimit.Kind.USER: _(
            "You render as many frames at once as your level allows (%(maximum)s)."
        ),
        ConcurrencyLimit.Kind.TEAM: _("Your team renders as many frames at once as it may (%(maximum)s)."),
        ConcurrencyLimit.Kind.LICENCE: _("All licences of %(key)s are in use (%(maximum)s)."),
    }
    for limit in reached:
        if limit.pk in job.limits:
            kind = ConcurrencyLimit.Kind(limit.kind)
            return Waiting(f"limit_{kind}", texts[kind] % {"maximum": limit.maximum, "key": limit.key})
    return None


def not_due(facts: dict[str, Any]) -> Waiting | None:
    if facts["is_due"]:
        return None
    return Waiting("not_due", _("Its frames are tried again in a moment."), facts["until"])
