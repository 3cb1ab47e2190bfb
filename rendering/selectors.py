"""Reads of rendering."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Min, Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from billing.errors import NoPrice
from billing.services.prices import price_of
from rendering.engines import is_offered
from rendering.models import ConcurrencyLimit, Frame, NodeBlock, RenderJob, RenderNode


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
    """Engines that can be asked for, with what a frame of each costs; null where there is no price yet."""
    engines = []
    for name, versions in offered_engines().items():
        try:
            rule = price_of(engine=name)
            price = {"price_per_frame": rule.price, "currency": rule.currency}
        except NoPrice:
            price = {"price_per_frame": None, "currency": None}
        engines.append({"name": name, "versions": versions, **price})
    return {"engines": engines}


@dataclass(frozen=True)
class Waiting:
    """Why nothing of a job is being rendered: a stable code, a sentence for its owner, until when if that is known."""

    code: str
    message: str
    until: datetime | None = None

    @property
    def is_stranded(self) -> bool:
        """Whether it will wait until somebody does something: no node can do it."""
        return self.code.startswith("no_")


def waiting_reason(job: RenderJob) -> Waiting | None:
    """Why a queued or rendering job has nothing running; None where it has, or is in another status.

    Codes: `dependency`, `approval`, `no_node`, `no_version`, `no_cores`, `no_memory`, `no_tags`, `no_unblocked_node`,
    `limit_user`, `limit_team`, `limit_licence`, `not_due`, `queue` (others are before it).
    """
    if job.status not in RenderJob.CLAIMABLE_STATUSES:
        return None
    frames = Frame.objects.filter(job=job)
    if frames.filter(status=Frame.Status.RUNNING).exists():
        return None
    ready = frames.filter(status=Frame.Status.READY)
    if not ready.exists():
        if frames.filter(status=Frame.Status.WAITING).exists():
            return waits_for_others(job)
        return None
    return (
        missing_node(job) or reached_limit(job) or not_due(ready) or Waiting("queue", _("Others are first."))
    )


def waits_for_others(job: RenderJob) -> Waiting:
    if job.dependencies.exclude(on__status=RenderJob.Status.COMPLETED).exists():
        return Waiting("dependency", _("It waits for the tasks it depends on."))
    return Waiting("approval", _("It waits for the approval of its test frames."))


def missing_node(job: RenderJob) -> Waiting | None:
    """What the job's ready frames need and no node in service has."""
    memory = memory_needed(job)
    needs = [
        ("no_node", Q(engines__has_key=job.engine), _("No render node with %(engine)s is in service.")),
        (
            "no_version",
            Q(engines__contains={job.engine: [job.engine_version]}) if job.engine_version else Q(),
            _("No render node in service has %(engine)s %(version)s."),
        ),
        ("no_cores", Q(cores__gte=job.min_cores), _("No render node in service has %(cores)s cores.")),
        (
            "no_memory",
            Q(memory_size__gte=memory),
            _("No render node in service has %(memory)s GB of memory.")
            if memory == job.min_memory_size
            else _(
                "Its frames ran out of memory, and no render node in service has the %(memory)s GB to try again."
            ),
        ),
        ("no_tags", Q(tags__contains=job.node_tags), _("No render node in service has the tags %(tags)s.")),
        (
            "no_unblocked_node",
            ~Q(pk__in=NodeBlock.objects.filter(job=job).values("node")),
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
    wanted, counts = Q(), {}
    for code, need, _text in needs:
        wanted &= need
        counts[code] = Count("pk", filter=wanted)
    found = RenderNode.objects.taking_work().aggregate(**counts)
    return next((Waiting(code, text % values) for code, _need, text in needs if not found[code]), None)


def memory_needed(job: RenderJob) -> int:
    """Bytes that a node must have to take any ready frame of the job: those that ran out of memory need more."""
    ready = Frame.objects.filter(job=job, status=Frame.Status.READY)
    if ready.filter(memory_size__lte=job.min_memory_size).exists():
        return job.min_memory_size
    return ready.aggregate(least=Min("memory_size"))["least"] or job.min_memory_size


def reached_limit(job: RenderJob) -> Waiting | None:
    texts = {
        ConcurrencyLimit.Kind.USER: _(
            "You render as many frames at once as your level allows (%(maximum)s)."
        ),
        ConcurrencyLimit.Kind.TEAM: _("Your team renders as many frames at once as it may (%(maximum)s)."),
        ConcurrencyLimit.Kind.LICENCE: _("All licences of %(key)s are in use (%(maximum)s)."),
    }
    reached = (
        ConcurrencyLimit.objects.filter(pk__in=job.limits, running__gte=F("maximum")).order_by("kind").first()
    )
    if reached is None:
        return None
    kind = ConcurrencyLimit.Kind(reached.kind)
    return Waiting(f"limit_{kind}", texts[kind] % {"maximum": reached.maximum, "key": reached.key})


def not_due(ready: QuerySet[Frame]) -> Waiting | None:
    if ready.filter(Q(due_at__isnull=True) | Q(due_at__lte=Now())).exists():
        return None
    until = ready.aggregate(until=Min("due_at"))["until"]
    return Waiting("not_due", _("Its frames are tried again in a moment."), until)
