"""Which node a frame may go to: what the job needs, what the node has, and what has failed there."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from rendering.models import Frame, NodeBlock, RenderNode
from tests.rendering import makers

pytestmark = pytest.mark.django_db
GIB = 1 << 30


@pytest.mark.parametrize(
    ("need", "lacks", "has"),
    [
        ({"engine_version": "5.1"}, {}, {"engines": {"blender": ["5.0.1", "5.1"]}}),
        ({"min_cores": 16}, {"cores": 8}, {"cores": 16}),
        ({"min_memory_size": 64 * GIB}, {"memory_size": 32 * GIB}, {"memory_size": 64 * GIB}),
        ({"node_tags": ["gpu", "xl"]}, {"tags": ["gpu"]}, {"tags": ["xl", "gpu", "paris"]}),
    ],
)
def test_a_job_goes_where_its_needs_are_met(
    owner: User, node: RenderNode, need: dict[str, Any], lacks: dict[str, Any], has: dict[str, Any]
) -> None:
    makers.needs(makers.queued(owner, frames="1-2"), **need)
    behind = makers.queued(owner, frames="1")

    assert makers.claimed(makers.another_node("lacks", **lacks)).job_id == behind.pk
    assert makers.nothing_for(makers.another_node("lacks too", **lacks))
    assert makers.claimed(makers.another_node("has", **has)).job_id != behind.pk


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "draining"},
        {"state": "disabled"},
        {"rests_until": timezone.now() + timedelta(hours=1)},
    ],
)
def test_a_node_that_takes_no_work_gets_none(owner: User, node: RenderNode, fields: dict[str, Any]) -> None:
    makers.queued(owner, frames="1")
    RenderNode.objects.filter(pk=node.pk).update(**fields)
    assert makers.nothing_for(node)
    RenderNode.objects.filter(pk=node.pk).update(state="enabled", rests_until=None)
    assert not makers.nothing_for(node)


def test_a_node_that_failed_a_job_three_times_gets_no_more_of_it(owner: User, node: RenderNode) -> None:
    other = makers.another_node(slots=4)
    job = makers.queued(owner, frames="1-5")
    behind = makers.queued(owner, frames="1")
    for _number in range(3):
        makers.fail(makers.claimed(node))

    assert list(NodeBlock.objects.values_list("node", "job")) == [(node.pk, job.pk)]
    assert makers.claimed(node).job_id == behind.pk
    assert makers.nothing_for(node)
    assert makers.claimed(other).job_id == job.pk


def test_out_of_memory_is_tried_once_more_where_there_is_more(owner: User, node: RenderNode) -> None:
    RenderNode.objects.filter(pk=node.pk).update(memory_size=32 * GIB, slots=2)
    node.refresh_from_db()
    large = makers.another_node("large", memory_size=128 * GIB)
    makers.queued(owner, frames="1")
    first = makers.claimed(node)
    assert first.memory_size == 16 * GIB
    makers.fail(first, "out_of_memory")
    assert Frame.objects.get().memory_size == 32 * GIB
    again = makers.claimed(large)
    assert again.memory_size == 128 * GIB
    makers.fail(again, "out_of_memory")
    frame = Frame.objects.get()
    assert (frame.status, frame.failures, frame.failure_code) == ("failed", 2, "out_of_memory")


def test_out_of_memory_on_the_largest_node_is_the_end(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    makers.fail(makers.claimed(node), "out_of_memory")
    assert Frame.objects.get().status == "failed"


def test_memory_that_only_a_node_without_the_tags_has_is_not_waited_for(
    owner: User, node: RenderNode
) -> None:
    RenderNode.objects.filter(pk=node.pk).update(tags=["gpu"], memory_size=32 * GIB, slots=1)
    node.refresh_from_db()
    makers.another_node("large", memory_size=128 * GIB)
    makers.queued(owner, frames="1", node_tags=["gpu"])

    makers.fail(makers.claimed(node), "out_of_memory")

    assert Frame.objects.get().status == "failed"


def test_the_only_node_with_the_tags_is_not_kept_from_the_job(owner: User, node: RenderNode) -> None:
    RenderNode.objects.filter(pk=node.pk).update(tags=["gpu"])
    node.refresh_from_db()
    makers.another_node("plain")
    makers.queued(owner, frames="1-4", node_tags=["gpu"])

    for _number in range(settings.RENDER_BLOCK_AFTER):
        makers.fail(makers.claimed(node))

    assert not NodeBlock.objects.exists()
    assert makers.claimed(node)


def test_a_licence_that_is_short_delays_and_spends_no_try(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-2")
    makers.fail(makers.claimed(node), "licence_unavailable")
    makers.claimed(node)
    assert makers.nothing_for(node)
    frame = Frame.objects.get(number=1)
    assert (frame.status, frame.failures, frame.losses) == ("ready", 0, 0)
    assert frame.due_at is not None
    assert timedelta(seconds=50) < frame.due_at - timezone.now() <= timedelta(seconds=60)
    Frame.objects.update(due_at=timezone.now())
    # On another node, if it can be: it was this one that had no licence.
    assert makers.frame_of(makers.claimed(makers.another_node())) == 1
