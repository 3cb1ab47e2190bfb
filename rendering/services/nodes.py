"""Nodes taken out of service and let in again, at the hand of an operator."""

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from rendering.models import RenderNode
from rendering.services.dispatch import dispatch_on_commit


def set_state(*, nodes: QuerySet[RenderNode], state: RenderNode.State) -> int:
    """Put nodes into a state; how many were in another. What waits for one that is let in again goes to it at once."""
    with transaction.atomic():
        rows = RenderNode.objects.filter(pk__in=nodes.values("pk")).exclude(state=state)
        changed = list(rows.select_for_update().order_by("pk"))
        RenderNode.objects.filter(pk__in=[node.pk for node in changed]).update(
            state=state, updated_at=timezone.now()
        )
        if state == RenderNode.State.ENABLED:
            for engine in sorted({engine for node in changed for engine in node.engines}):
                dispatch_on_commit(engine)
    return len(changed)
