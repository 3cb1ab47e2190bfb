"""How much runs at once, for whom, and where."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import TeamMember, User
from accounts.services.teams import create_team
from billing.models import MembershipPlan
from common.errors import TransitionNotAllowed
from rendering.errors import LateResult, NothingToRender
from rendering.models import Attempt, ConcurrencyLimit, Frame, RenderJob, RenderNode
from rendering.services import attempts, claims, limits
from rendering.services.jobs import cancel_job, pause_job, resume_job
from rendering.services.reopening import add_frames, retry_frames
from tests.factories import PASSWORD, make_user
from tests.racing import race, somebody_waits_for_a_lock, wait_for
from tests.rendering import makers
from tests.test_admin_audit import inputs

pytestmark = pytest.mark.django_db
GIB = 1 << 30


def owners_of(node: RenderNode, count: int) -> list[str]:
    return [makers.claimed(node).job.user.username or "" for _number in range(count)]


def of_team(user: User, team: Any, **wishes: Any) -> RenderJob:
    """A queued job of a team's member."""
    TeamMember.objects.get_or_create(team=team, user=user)
    return makers.queued(user, makers.team_scene(user, team), **wishes)


def plan(level: int, frames: int | None, weight: int = 1) -> None:
    MembershipPlan.objects.filter(level=level).update(concurrent_frames=frames, weight=weight)


# --- Fair share -------------------------------------------------------------------------------------------


def test_a_higher_level_weighs_more(owner: User, stranger: User, node: RenderNode) -> None:
    plan(1, None, 2)
    User.objects.filter(pk=stranger.pk).update(member_level=1)
    stranger.refresh_from_db()
    makers.queued(owner, frames="1-10")
    makers.queued(stranger, frames="1-10")

    names = owners_of(node, 9)

    assert (names.count("owner"), names.count("stranger")) == (3, 6)


def test_a_team_has_a_share_of_its_own(owner: User, stranger: User, node: RenderNode, settings: Any) -> None:
    settings.RENDER_TEAM = (None, 2)
    lead = make_user(username="lead", money="100")
    of_team(lead, create_team(owner=lead, name="Lighting"), frames="1-10")
    makers.queued(owner, frames="1-10")
    makers.queued(stranger, frames="1-10")

    found = [makers.claimed(node).job for _number in range(8)]

    shares = [job.user.username if job.team_id is None else "team" for job in found]
    assert sorted(shares) == ["owner"] * 2 + ["stranger"] * 2 + ["team"] * 4


def test_ten_thousand_frames_starve_nobody(stranger: User, node: RenderNode) -> None:
    makers.queued(make_user(username="studio", money="5000"), frames="1-10000")
    for _number in range(5):
        makers.claimed(node)
    makers.queued(stranger, frames="1-3")

    assert owners_of(node, 3) == ["stranger"] * 3


def test_one_slot_is_shared_by_what_was_used_lately(
    owner: User, stranger: User, node: RenderNode, settings: Any
) -> None:
    """With a single slot nobody has anything running when it is free: age alone would let the older job keep it."""
    settings.RENDER_LEVELS = [(None, 1), (None, 4)]

    def render(seconds: int) -> str:
        attempt = makers.claimed(node)
        Attempt.objects.filter(pk=attempt.pk).update(created_at=timezone.now() - timedelta(seconds=seconds))
        makers.succeed(attempt)
        return attempt.job.user.username or ""

    makers.queued(owner, frames="1-50")
    assert render(40) == "owner"
    makers.queued(stranger, frames="1-50")

    assert [render(15) for _number in range(6)] == ["stranger"] * 3 + ["owner", "stranger", "owner"]
    ConcurrencyLimit.objects.filter(key=str(owner.pk)).update(weight=4)
    assert [render(15) for _number in range(5)] == ["owner"] * 5
    ConcurrencyLimit.objects.filter(key=str(stranger.pk)).update(used_at=timezone.now() - timedelta(days=400))
    assert render(15) == "stranger"


def test_jobs_of_one_owner_go_by_priority_and_age(owner: User, node: RenderNode) -> None:
    """Who has several says by their priority which is to come first."""
    first = makers.queued(owner, frames="1-100")
    second = makers.queued(owner, frames="1-3")
    assert makers.claimed(node).job_id == first.pk
    makers.needs(second, priority=2)
    assert makers.claimed(node).job_id == second.pk


def test_a_level_counts_at_once_for_what_is_queued(owner: User, node: RenderNode) -> None:
    plan(0, 4)
    plan(1, 8, 2)
    makers.queued(owner, frames="1-10")
    for _number in range(4):
        makers.claimed(node)
    assert makers.nothing_for(node)
    office = Client()
    office.force_login(User.objects.create_superuser("boss", PASSWORD))
    page = reverse("admin:accounts_user_change", args=[owner.pk])
    served = office.get(page).context
    sent = inputs(served["adminform"].form, served["inline_admin_formsets"])
    assert office.post(page, {**sent, "member_level": "1"}).status_code == 302

    for _number in range(4):
        makers.claimed(node)
    assert makers.nothing_for(node)
    [limit] = ConcurrencyLimit.objects.all()
    assert (limit.maximum, limit.weight, limit.running) == (8, 2, 8)


def test_what_operators_set_for_a_user_stays(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-10")
    office = Client()
    office.force_login(User.objects.create_superuser("boss", PASSWORD))
    limit = ConcurrencyLimit.objects.get()
    makers.claimed(node)
    page = reverse("admin:rendering_concurrencylimit_change", args=[limit.pk])
    assert office.post(page, {"maximum": "1", "weight": "3"}).status_code == 302

    assert makers.nothing_for(node)
    makers.queued(owner, frames="1-10")
    limits.level_changed(owner)
    limit.refresh_from_db()
    assert (limit.maximum, limit.weight, limit.is_custom, limit.running) == (1, 3, True, 1)


# --- Limits -----------------------------------------------------------------------------------------------


def test_a_user_has_so_many_frames_at_once(owner: User, stranger: User, node: RenderNode) -> None:
    plan(0, 4)
    makers.queued(owner, frames="1-10", priority=3)
    running = [makers.claimed(node) for _number in range(4)]
    makers.queued(stranger, frames="1", priority=0)
    assert owners_of(node, 1) == ["stranger"]
    assert makers.nothing_for(node)
    makers.succeed(running[0])
    assert owners_of(node, 1) == ["owner"]
    assert makers.nothing_for(node)


def test_a_team_has_so_many_frames_at_once(
    owner: User, stranger: User, node: RenderNode, settings: Any
) -> None:
    settings.RENDER_TEAM = (3, 1)
    team = create_team(owner=owner, name="Lighting")
    of_team(owner, team, frames="1-10")
    of_team(stranger, team, frames="1-10")
    for _number in range(3):
        makers.claimed(node)
    assert makers.nothing_for(node)
    makers.queued(stranger, frames="1")
    assert owners_of(node, 1) == ["stranger"]


def test_a_member_at_their_limit_does_not_hold_up_their_team(
    owner: User, stranger: User, node: RenderNode
) -> None:
    plan(0, 2)
    team = create_team(owner=owner, name="Lighting")
    of_team(owner, team, frames="1-10")
    of_team(stranger, team, frames="1-10")
    assert owners_of(node, 4) == ["owner", "owner", "stranger", "stranger"]
    assert makers.nothing_for(node)


def test_a_licence_is_limited_by_operators(owner: User, stranger: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-3", renderer="CYCLES")
    running = makers.claimed(node)
    office = Client()
    office.force_login(User.objects.create_superuser("boss", PASSWORD))
    page = reverse("admin:rendering_concurrencylimit_add")
    assert office.post(page, {"key": "Blender/Cycles ", "maximum": "2"}).status_code == 302
    again = office.post(page, {"key": "blender/cycles", "maximum": "5"})
    assert (again.status_code, list(again.context["adminform"].form.errors)) == (200, ["key"])
    assert "key" in office.post(page, {"key": "nuke", "maximum": "5"}).context["adminform"].form.errors

    licence = ConcurrencyLimit.objects.get(kind="licence")
    assert (licence.key, licence.maximum, licence.running) == ("blender/cycles", 2, 1)
    makers.queued(stranger, frames="1-3", renderer="cycles")
    makers.queued(stranger, frames="1", renderer="EEVEE", priority=0)
    assert owners_of(node, 1) == ["stranger"]
    assert makers.claimed(node).job.renderer == "EEVEE"
    assert makers.nothing_for(node)
    makers.succeed(running)
    assert makers.claimed(node).job.renderer.lower() == "cycles"
    assert makers.audit() == {}


def test_a_licence_counts_for_what_the_scene_says(owner: User, node: RenderNode) -> None:
    """Nobody asks for a renderer: in a job from before the limit, and in one from after it."""
    assert makers.queued(owner, frames="1-2").renderer == ""
    makers.claimed(node)
    licence = limits.limit_licence(key=limits.licence_key("blender", "Cycles"), maximum=2)
    assert (licence.key, licence.running) == ("blender/cycles", 1)
    makers.queued(owner, frames="3-4")
    makers.claimed(node)
    assert makers.nothing_for(node)
    ConcurrencyLimit.objects.filter(pk=licence.pk).update(maximum=3)
    makers.claimed(node)
    assert makers.nothing_for(node)
    assert limits.licence_key("maya", "V-Ray") == limits.licence_key("maya", "vray") == "maya/vray"


@pytest.mark.django_db(transaction=True)
def test_a_licence_is_limited_while_others_change_their_jobs(owner: User, node: RenderNode) -> None:
    """Jobs are locked in their order: whoever holds the first gets the next, too."""
    first, second = makers.queued(owner), makers.queued(owner)
    makers.needs(first, priority=2)  # in the order of the table it comes after the other now
    rows = RenderJob.objects.select_for_update(no_key=True, nowait=True)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            rows.get(pk=first.pk)
            limited = pool.submit(race, 1, lambda _number: limits.limit_licence(key="blender", maximum=1))
            wait_for(somebody_waits_for_a_lock)
            assert rows.get(pk=second.pk) == second
        [licence] = limited.result()

    assert set(RenderJob.objects.filter(limits__contains=[licence.pk])) == {first, second}
    makers.claimed(node)
    assert makers.nothing_for(node)


@pytest.mark.django_db(transaction=True)
def test_eight_claimers_never_exceed_a_limit(owner: User, stranger: User, node: RenderNode) -> None:
    limits.limit_licence(key="blender", maximum=5)
    for user in (owner, stranger):
        makers.queued(user, frames="1-30")

    def claim(_number: int) -> int:
        return sum(not makers.nothing_for(node) for _turn in range(3))

    assert sum(race(8, claim)) == 5
    assert Attempt.objects.filter(status="running").count() == 5
    assert makers.audit() == {}


# --- The count --------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_in_which_order_the_count_is_right(
    owner: User, stranger: User, node: RenderNode, seed: int
) -> None:
    """Random deeds of six threads; afterwards all books are right, and so they are once all is over."""
    limits.limit_licence(key="blender", maximum=6)
    team = create_team(owner=owner, name="Lighting")
    jobs = [
        makers.queued(owner, frames="1-12"),
        makers.needs(makers.queued(stranger, frames="1-12"), chunk_size=3),
        of_team(stranger, team, frames="1-12"),
    ]

    def act(number: int) -> None:
        chance = random.Random(100 * seed + number)
        mine: list[Attempt] = []
        for _turn in range(25):
            job = RenderJob.objects.get(pk=chance.choice(jobs).pk)
            deed = chance.choices(
                [
                    "claim",
                    "succeed",
                    "fail",
                    "end",
                    "lose",
                    "give back",
                    "expire",
                    "pause",
                    "resume",
                    "cancel",
                    "retry",
                    "further",
                ],
                [14, 6, 4, 3, 2, 2, 1, 1, 3, 0.3, 2, 1],
            )[0]
            try:
                if deed == "claim":
                    if attempt := claims.claim(node=node, engine="blender"):
                        mine.append(attempt)
                elif deed == "pause":
                    pause_job(job=job)
                elif deed == "resume":
                    resume_job(job=job)
                elif deed == "cancel":
                    cancel_job(job=job)
                elif deed == "retry":
                    retry_frames(job=job)
                elif deed == "further":
                    add_frames(job=job, frames=str(chance.randrange(50, 90)))
                elif deed == "expire":
                    attempts.reap(timezone.now() + timedelta(hours=1))
                elif mine:
                    attempt = mine.pop(chance.randrange(len(mine)))
                    if deed == "fail":
                        makers.fail(attempt, chance.choice(["crashed", "node_fault", "licence_unavailable"]))
                    elif deed == "succeed":
                        makers.succeed(attempt)
                    elif deed == "end":
                        makers.fail(attempt, is_permanent=True)
                    elif deed == "lose":
                        attempts.lose(attempt_id=attempt.pk)
                    else:
                        attempts.give_back(attempt_id=attempt.pk)
            except (LateResult, NothingToRender, TransitionNotAllowed):
                continue

    race(6, act)

    assert makers.audit() == {}
    assert ConcurrencyLimit.objects.get(kind="licence").running <= 6
    for job in RenderJob.objects.exclude(status__in=RenderJob.FINAL_STATUSES):
        cancel_job(job=job)
    assert makers.audit() == {}
    assert set(ConcurrencyLimit.objects.values_list("running", flat=True)) == {0}


def test_a_removed_job_counts_no_more(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    attempt = makers.claimed(node)
    Frame.objects.update(status="ready", attempt=None)
    attempt.delete()
    assert ConcurrencyLimit.objects.get().running == 0
