"""The marks by which claims know whose turn it may be: there wherever an owner has ready frames."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from django.db import connection, transaction

from accounts.models import User
from rendering.models import Attempt, ConcurrencyLimit, RenderJob, RenderNode, WaitingOwner
from rendering.services import attempts, claims
from rendering.services.frames import show_ready
from rendering.services.jobs import pause_job, resume_job, set_priority
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.rendering import makers

pytestmark = pytest.mark.django_db


def owners_that_wait() -> int:
    claims.forget_emptied("blender")
    return WaitingOwner.objects.values("share").distinct().count()


def test_a_mark_comes_and_goes_with_ready_frames(owner: User, stranger: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-2")
    makers.queued(owner, frames="1", priority=0)
    makers.queued(stranger, frames="1")
    assert owners_that_wait() == 2

    for _frame in range(3):
        makers.claimed(node)
    assert owners_that_wait() == 1
    last = makers.claimed(node)
    assert owners_that_wait() == 0
    attempts.give_back(attempt_id=last.pk)
    assert owners_that_wait() == 1
    makers.claimed(node)
    assert owners_that_wait() == 0
    pause_job(job=job)
    assert owners_that_wait() == 0
    resume_job(job=RenderJob.objects.get(pk=job.pk))
    assert owners_that_wait() == 1


def test_a_mark_follows_the_priority_of_a_job(owner: User, stranger: User, node: RenderNode) -> None:
    makers.queued(stranger, frames="1")
    job = makers.queued(owner, frames="1-2")

    set_priority(job=job, priority=RenderJob.Priority.URGENT)

    assert makers.audit() == {}
    assert makers.claimed(node).job == job
    claims.forget_emptied("blender")
    marked = WaitingOwner.objects.filter(share=RenderJob.objects.get(pk=job.pk).share)
    assert list(marked.values_list("engine", "priority")) == [("blender", RenderJob.Priority.URGENT)]


def looks_for_a_job(node: RenderNode) -> int:
    """How often a claim looks into the table of jobs."""
    looks = "SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'rendering_renderjob'"
    with connection.cursor() as cursor:
        cursor.execute(looks)
        before = cursor.fetchone()[0]
        assert claims.take_frames(node, "blender")
        cursor.execute(looks)
        return int(cursor.fetchone()[0] - before)


def test_a_claim_asks_nobody_who_waits_for_something_else(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-3")
    alone = looks_for_a_job(node)
    others = ConcurrencyLimit.objects.bulk_create(
        ConcurrencyLimit(kind="user", key=str(number)) for number in range(40)
    )
    RenderJob.objects.bulk_create(
        RenderJob(
            user=owner,
            drive=job.drive,
            status=RenderJob.Status.QUEUED,
            has_ready_frames=True,
            share=share,
            engine="maya" if number % 2 else "blender",
            priority=RenderJob.Priority.NORMAL if number % 2 else RenderJob.Priority.LOW,
        )
        for number, share in enumerate(others)
    )
    assert WaitingOwner.objects.count() == 41

    assert looks_for_a_job(node) == alone


def emptied(owner: User, node: RenderNode) -> RenderJob:
    """A job whose frames are all taken, and which is forgotten; its owner is marked still."""
    job = makers.queued(owner, frames="1")
    makers.claimed(node)
    RenderJob.objects.filter(pk=job.pk).update(has_ready_frames=False)
    return job


@pytest.mark.django_db(transaction=True)
def test_a_mark_stays_for_a_job_that_is_just_coming(owner: User, node: RenderNode) -> None:
    job = emptied(owner, node)

    with transaction.atomic():
        show_ready(job)
        [left] = race(1, lambda _number: owners_that_wait())

    assert left == WaitingOwner.objects.count() == 1
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_a_job_that_comes_while_its_mark_goes_brings_another(owner: User, node: RenderNode) -> None:
    job = emptied(owner, node)

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            mark = WaitingOwner.objects.select_for_update().get()
            coming = pool.submit(race, 1, lambda _number: show_ready(job))
            wait_for(somebody_waits_for_a_lock)
            mark.delete()
        coming.result()

    assert WaitingOwner.objects.count() == 1
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_jobs_that_are_forgotten_and_jobs_that_are_locked_in_their_order_do_not_meet(
    owner: User, node: RenderNode
) -> None:
    """Both take several jobs: whoever waits for one with another in hand may be waited for."""
    held, free = (makers.queued(owner, frames="1") for _job in range(2))
    for _job in (held, free):
        makers.claimed(node)

    def forget(_number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        claims.forget_emptied("blender")

    with transaction.atomic():
        RenderJob.objects.select_for_update(no_key=True).get(pk=held.pk)
        race(1, forget)

    assert list(RenderJob.objects.filter(has_ready_frames=True)) == [held]
    claims.forget_emptied("blender")
    assert not RenderJob.objects.filter(has_ready_frames=True).exists()


@pytest.mark.django_db(transaction=True)
def test_nobody_is_overlooked_in_a_crowd(owner: User, stranger: User, node: RenderNode) -> None:
    for user in (owner, stranger):
        makers.queued(user, frames="1-3")
        makers.queued(user, frames="1", priority=0)

    def act(number: int) -> None:
        chance = Random(number)
        for _turn in range(25):
            if chance.random() < 0.4:
                claims.forget_emptied("blender")
            elif attempt := claims.claim(node=node, engine="blender"):
                attempts.give_back(attempt_id=attempt.pk)

    race(6, act)

    assert makers.audit() == {}
    assert (
        len([makers.claimed(node) for _frame in range(8)]) == Attempt.objects.filter(status="running").count()
    )


@pytest.mark.django_db(transaction=True)
def test_only_the_claim_itself_does_not_wait_for_the_disk(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    makers.claimed(node)

    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)
