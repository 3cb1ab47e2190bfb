"""A team pays for what lies in its drive, and its members spend within their limits."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import TeamMember, User
from accounts.services.deletion import delete_user
from accounts.services.teams import create_team
from billing.services.ledger import wallet_of
from billing.services.limits import set_limit, spent_in_month
from common.errors import DomainError
from drives.models import DriveMember, File
from rendering.models import RenderJob, RenderNode
from rendering.services import jobs
from rendering.services.reopening import add_frames
from tests.conftest import Client
from tests.racing import race
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


@pytest.fixture
def shared(owner: User, stranger: User) -> File:
    """A scene in a drive of stranger's team, in which owner is a member; the team has 100 yuan."""
    team = create_team(owner=stranger, name="studio")
    TeamMember.objects.create(team=team, user=owner, role="member")
    return makers.team_scene(owner, team)


def test_a_team_pays_for_what_lies_in_its_drive(
    owner_api: Client, owner: User, node: RenderNode, shared: File
) -> None:
    team, own = shared.drive.team, makers.money(owner)
    assert team is not None
    job = makers.draft(owner, shared, frames="1-2")
    body = owner_api.get(f"/tasks/{job.pk}/estimate").json()
    assert (body["payer"], body["team_id"], body["available"], body["limit_left"]) == (
        "team",
        str(team.pk),
        100,
        None,
    )
    assert owner_api.post(f"/tasks/{job.pk}/submit").status_code == 202
    assert (makers.money(owner), makers.money(team)) == (own, (100, 1))
    jobs.cancel_job(job=makers.fresh(job))
    assert makers.money(team) == (100, 0)
    assert makers.audit() == {}


def test_who_may_not_spend_the_teams_money_renders_nothing_there(
    owner_api: Client, owner: User, node: RenderNode, shared: File
) -> None:
    """One who was let into the drive, but is no member of the team."""
    job = makers.draft(owner, shared, frames="1")
    TeamMember.objects.filter(user=owner).delete()
    DriveMember.objects.create(drive=shared.drive, user=owner, role="editor")
    refused = owner_api.post(f"/tasks/{job.pk}/submit")
    assert (refused.status_code, refused.json()["code"]) == (403, "spending_not_allowed")
    assert (makers.fresh(job).status, makers.money(shared.drive.team)) == (Status.DRAFT, (100, 0))  # type: ignore[arg-type]


def test_a_member_spends_as_much_as_their_limit_allows(
    owner_api: Client, owner: User, stranger: User, node: RenderNode, shared: File
) -> None:
    team = shared.drive.team
    assert team is not None
    set_limit(team=team, actor=stranger, user=owner, amount=Decimal("2.00"))
    job = makers.queued(owner, shared, frames="1-3")
    body = owner_api.get(f"/tasks/{makers.draft(owner, shared, frames='1-2').pk}/estimate").json()
    assert (body["limit_left"], body["estimated_cost"]) == (0.5, 1.0)
    more = makers.draft(owner, shared, frames="1-2")
    refused = owner_api.post(f"/tasks/{more.pk}/submit")
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")
    assert [refused.json()[name] for name in ("limit", "spent", "required", "left")] == [2.0, 1.5, 1.0, 0.5]
    assert (
        owner_api.post(f"/tasks/{job.pk}/frames", {"frames": "7-9"}).json()["code"]
        == "spending_limit_reached"
    )
    assert makers.money(team) == (100, Decimal("1.5"))
    makers.succeed(makers.claimed(node))
    jobs.cancel_job(job=makers.fresh(job))

    # 0.50 was taken; what was released counts no more. Next month nothing of it counts.
    assert owner_api.post(f"/tasks/{more.pk}/submit").status_code == 202
    jobs.cancel_job(job=makers.fresh(more))
    soon = timezone.now() + timedelta(days=32)
    assert spent_in_month(wallet=wallet_of(team), user=owner, now=timezone.now()) == Decimal("0.5")
    assert spent_in_month(wallet=wallet_of(team), user=owner, now=soon) == 0
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_of_many_jobs_at_once_the_limit_lets_through_what_it_allows(
    owner: User, stranger: User, node: RenderNode, shared: File
) -> None:
    team = shared.drive.team
    assert team is not None
    set_limit(team=team, actor=stranger, user=owner, amount=Decimal("2.00"))
    drafts = [makers.draft(owner, shared, frames="1") for _job in range(8)]

    def submit(number: int) -> bool:
        try:
            jobs.submit_job(job=makers.fresh(drafts[number]))
            return True
        except DomainError as error:
            assert error.code == "spending_limit_reached"
            return False

    assert sum(race(8, submit)) == 4
    assert makers.money(team) == (100, 2)
    assert makers.audit() == {}


def test_jobs_of_a_member_who_goes_for_good_are_paid_by_the_team(
    owner: User, node: RenderNode, shared: File
) -> None:
    team = shared.drive.team
    assert team is not None
    job = makers.queued(owner, shared, frames="1-3")
    makers.succeed(makers.claimed(node))
    now = timezone.now()
    User.objects.filter(pk=owner.pk).update(deletion_due_at=now)
    assert delete_user(user_id=owner.pk, now=now)
    assert (makers.fresh(job).status, makers.money(team)) == (Status.CANCELLED, (Decimal("99.5"), 0))
    assert makers.audit() == {}


def test_further_frames_of_who_left_the_team_are_not_paid_by_it(
    owner_api: Client, owner: User, node: RenderNode, shared: File
) -> None:
    job = makers.queued(owner, shared, frames="1")
    makers.succeed(makers.claimed(node))
    TeamMember.objects.filter(user=owner).delete()
    DriveMember.objects.create(drive=shared.drive, user=owner, role="editor")
    with pytest.raises(DomainError) as refused:
        add_frames(job=makers.fresh(job), frames="2")
    assert refused.value.code == "spending_not_allowed"
    assert makers.audit() == {}
