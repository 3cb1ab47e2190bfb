"""Taking a job from the nodes that render it, at the hand of an operator."""

from django.db import transaction
from django.utils.translation import gettext as _

from rendering.errors import NoNodeFits
from rendering.models import Attempt, Frame, JobLog, NodeBlock, RenderJob, RenderNode
from rendering.services import news
from rendering.services.dispatch import dispatch_on_commit
from rendering.services.frames import stop_frames


def move_job(*, job: RenderJob) -> list[str]:
    """Give back what runs of the job and keep it from the nodes that had it; their names. Other nodes go on.

    Frames under way start anew and lose no try. Raises TransitionNotAllowed where the job does not render;
    NoNodeFits where no other node can render it.
    """
    with transaction.atomic():
        locked = RenderJob.objects.select_for_update(no_key=True).get(pk=job.pk)
        if locked.status not in RenderJob.CLAIMABLE_STATUSES:
            raise locked.refusal()
        running = Attempt.objects.filter(job=locked, status=Attempt.Status.RUNNING)
        nodes = list(RenderNode.objects.filter(pk__in=running.values("node")).order_by("pk"))
        others = RenderNode.objects.taking_work().fit_for(locked)
        if not others.exclude(pk__in=[node.pk for node in nodes]).exists():
            raise NoNodeFits
        blocks = [NodeBlock(job=locked, node=node) for node in nodes]
        NodeBlock.objects.bulk_create(blocks, ignore_conflicts=True)
        stop_frames(locked, Frame.Status.READY, running_only=True)
        names = [node.name for node in nodes]
        if names:
            line = _("Moved to other nodes, away from %(nodes)s.") % {"nodes": ", ".join(names)}
            news.log(locked, line, level=JobLog.Level.WARNING)
        dispatch_on_commit(locked.engine)
    return names


def unblock_nodes(*, job: RenderJob) -> int:
    """Let every node have the job's frames again; how many were kept from it."""
    with transaction.atomic():
        count, _by_model = NodeBlock.objects.filter(job=job).delete()
        if count:
            news.log(job, _("All nodes may render this task again."))
            dispatch_on_commit(job.engine)
    return count
