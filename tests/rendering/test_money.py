"""What a job costs: by the frame or the hour, at a priority, with a discount; charged while it renders."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Notification, TeamMember, User
from accounts.services.deletion import delete_user
from accounts.services.teams import create_team
from billing.models import Bill, Hold, LedgerEntry, MembershipPlan, PriceRule
from billing.services.credits import credit
from billing.services.gifts import give
from billing.services.holds import place_hold
from billing.services.ledger import wallet_of
from billing.services.limits import set_limit, spent_in_month
from common.errors import Conflict, DomainError
from common.ids import new_id
from drives.models import DriveMember, File
from rendering import tasks
from rendering.models import Attempt, Frame, RenderJob, RenderNode
from rendering.services import attempts, jobs, money
from rendering.services.reopening import add_frames, retry_frames
from tests.conftest import Client
from tests.racing import race
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


@pytest.fixture
def by_hour(price: PriceRule) -> PriceRule:
    """Blender is paid by the core-hour: 36 yuan, a fen for each CPU second."""
    return PriceRule.objects.create(
        engine="blender", unit="core_hour", price=36, valid_from=timezone.now() - timedelta(days=1)
    )


@pytest.fixture
def multiplied(price: PriceRule) -> PriceRule:
    PriceRule.objects.filter(pk=price.pk).update(
        low_multiplier=Decimal("0.8"), high_multiplier=Decimal("1.5"), urgent_multiplier=2
    )
    price.refresh_from_db()
    return price


def fresh(job: RenderJob) -> RenderJob:
    return RenderJob.objects.select_related("user", "team").get(pk=job.pk)


def spend(user: User, left: str) -> None:
    """Leave `left` of the user's money."""
    wallet = wallet_of(user)
    place_hold(
        wallet=wallet,
        amount=wallet.available - Decimal(left),
        key="away",
        description="away",
        purpose=Hold.Purpose.WITHDRAWAL,
    )


# --- The formula -----------------------------------------------------------------------------------------------


def test_price_is_base_times_priority_less_the_discount(
    owner_api: Client, owner: User, node: RenderNode, multiplied: PriceRule
) -> None:
    MembershipPlan.objects.filter(level=0).update(discount=Decimal("0.05"))
    scene = makers.scene(owner)
    job = makers.draft(owner, scene, frames="1-10:3", priority=2)

    body = owner_api.get(f"/tasks/{job.pk}/estimate").json()
    assert (body["frames"], body["base_price"], body["priority_multiplier"], body["discount"]) == (
        4,
        0.5,
        1.5,
        0.05,
    )
    assert (body["unit_price"], body["estimated_cost"], body["basis"]) == (0.7125, 2.85, "frames")

    job = makers.queued(owner, scene, frames="1-10:3", priority=2)
    # What is changed afterwards does not reach the job.
    MembershipPlan.objects.filter(level=0).update(discount=0)
    PriceRule.objects.update(price=9, high_multiplier=7)
    for _frame in range(4):
        makers.succeed(makers.claimed(node))
    task = owner_api.get(f"/tasks/{job.pk}").json()
    assert task["actual_cost"] == task["estimated_cost"] == 2.85
    kept = (
        "price_rule_id",
        "price_version",
        "price_unit",
        "base_price",
        "price_multiplier",
        "price_discount",
    )
    assert [task[name] for name in kept] == [str(multiplied.pk), 1, "frame", 0.5, 1.5, 0.05]
    assert makers.audit().keys() <= {"a line has the price of the job's rule, at a priority that there is"}


def test_another_priority_counts_for_what_is_not_rendered_yet(
    owner_api: Client, owner: User, node: RenderNode, multiplied: PriceRule
) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-4", priority=0)
    assert makers.money(owner)[1] == Decimal("1.6")
    makers.succeed(makers.claimed(node))
    going_on = makers.claimed(node)

    task = owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 3}).json()
    assert (task["unit_price"], task["actual_cost"], task["estimated_cost"]) == (1.0, 0.4, 3.4)
    assert makers.money(owner) == (balance - Decimal("0.4"), 3)
    makers.succeed(going_on)
    for _frame in range(2):
        makers.succeed(makers.claimed(node))

    assert makers.money(owner) == (balance - Decimal("3.4"), 0)
    assert sorted(Bill.objects.values_list("amount", flat=True)) == [Decimal("0.4"), Decimal(3)]
    assert makers.audit() == {}


def test_a_dearer_priority_that_cannot_be_paid_changes_nothing(
    owner_api: Client, owner: User, node: RenderNode, multiplied: PriceRule
) -> None:
    job = makers.queued(owner, frames="1-4", priority=0)
    makers.succeed(makers.claimed(node))
    spend(owner, "0.5")
    before = makers.money(owner)

    refused = owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 3})
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    job = fresh(job)
    assert (job.priority, job.unit_price, job.charged_frames, makers.money(owner)) == (
        0,
        Decimal("0.4"),
        0,
        before,
    )
    assert makers.audit() == {}


def test_a_priority_above_the_plan_is_refused(owner_api: Client, owner: User, node: RenderNode) -> None:
    MembershipPlan.objects.filter(level=0).update(max_priority=2)
    scene = makers.scene(owner)
    wanted = {"task_name": "shot", "scene_file_id": str(scene.pk), "frames": "1", "priority": 3}
    refused = owner_api.post("/tasks", wanted)
    assert (refused.status_code, refused.json()["code"], refused.json()["highest"]) == (
        403,
        "priority_too_high",
        2,
    )
    assert not RenderJob.objects.exists()
    job = makers.draft(owner, scene, frames="1", priority=2)
    assert owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 3}).json()["code"] == "priority_too_high"
    MembershipPlan.objects.filter(level=0).update(max_priority=1)
    assert owner_api.post(f"/tasks/{job.pk}/submit").json()["code"] == "priority_too_high"
    assert fresh(job).status == Status.DRAFT
    owner_api.put(f"/tasks/{job.pk}/priority", {"priority": 1})
    assert owner_api.post(f"/tasks/{job.pk}/submit").status_code == 202


# --- While it renders --------------------------------------------------------------------------------------------


def test_what_is_rendered_is_charged_at_most_once_a_minute(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-5")
    for _frame in range(3):
        makers.succeed(makers.claimed(node))
    assert makers.money(owner) == (balance, Decimal("2.5"))
    assert money.capture_due(now=timezone.now()) == 0

    later = timezone.now() + timedelta(seconds=61)
    assert [money.capture_due(now=later) for _twice in range(2)] == [1, 0]
    assert makers.money(owner) == (balance - Decimal("1.5"), 1)
    assert fresh(job).actual_cost == Decimal("1.5")
    assert makers.audit() == {}
    makers.succeed(makers.claimed(node))
    jobs.cancel_job(job=fresh(job))

    assert makers.money(owner) == (balance - 2, 0)
    assert list(LedgerEntry.objects.filter(kind="consume").order_by("sequence").values_list("amount", flat=True)) == [
        Decimal("-1.5"), Decimal("-0.5"),
    ]  # fmt: skip
    assert (Bill.objects.get().amount, fresh(job).capture_due_at) == (2, None)
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_charging_while_frames_end_and_the_owner_cancels(owner: User, node: RenderNode) -> None:
    for _round in range(3):
        job = makers.queued(owner, frames="1-6")
        running = [makers.claimed(node) for _frame in range(5)]
        makers.succeed(running.pop())

        def act(number: int, job: RenderJob = job, running: list[Attempt] = running) -> None:
            try:
                if number < 4:
                    makers.succeed(running[number])
                elif number < 7:
                    money.capture_due(now=timezone.now() + timedelta(hours=1))
                else:
                    jobs.cancel_job(job=fresh(job))
            except Conflict:
                return

        race(8, act)
        assert makers.audit() == {}
        assert makers.money(owner)[1] == 0
    rendered = Frame.objects.filter(status="done").count()
    assert sum(Bill.objects.values_list("amount", flat=True)) == rendered * Decimal("0.5")


def test_frames_that_fail_by_a_fault_of_the_scene_are_free_unless_said_otherwise(
    owner: User, node: RenderNode, settings: Any
) -> None:
    balance, _held = makers.money(owner)

    def render() -> RenderJob:
        job = makers.queued(owner, frames="1-4")
        makers.succeed(makers.claimed(node))
        makers.fail(makers.claimed(node), "missing_texture", is_permanent=True)
        makers.fail(makers.claimed(node), "no_camera", is_permanent=True)
        makers.fail(makers.claimed(node), "crashed", is_permanent=True)
        return fresh(job)

    assert render().actual_cost == Decimal("0.5")
    settings.RENDER_FAILED_SHARE = Decimal("0.2")
    job = render()
    assert job.actual_cost == Decimal("0.7")
    lines = (
        Bill.objects.get(task_id=job.pk).lines.order_by("-unit_price").values_list("quantity", "unit_price")
    )
    assert list(lines) == [(1, Decimal("0.5")), (2, Decimal("0.1"))]
    retry_frames(job=job, frames="2")
    makers.succeed(makers.claimed(node))
    # The one that failed again is not charged again: it was not tried again.
    assert fresh(job).actual_cost == Decimal("1.2")
    assert makers.money(owner) == (balance - Decimal("1.7"), 0)
    assert makers.audit() == {}


# --- By the hour ---------------------------------------------------------------------------------------------


def test_hours_are_estimated_by_what_is_known(
    owner_api: Client, owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    scene = makers.scene(owner)
    job = makers.queued(owner, scene, frames="1-4")
    body = owner_api.get(f"/tasks/{makers.draft(owner, scene, frames='1-2').pk}/estimate").json()
    assert (body["basis"], body["unit"], body["unit_price"], body["estimated_cost"]) == (
        "setting", "core_hour", 36.0, 0.200016,
    )  # fmt: skip
    assert makers.money(owner)[1] == Decimal("0.41")
    for _frame in range(4):
        makers.succeed(makers.claimed(node), cpu_seconds=20)

    assert (fresh(job).status, fresh(job).actual_cost) == (Status.COMPLETED, Decimal("0.8"))
    line = Bill.objects.get().lines.get()
    assert (line.quantity, line.unit_price) == (Decimal("0.022222"), 36)
    body = owner_api.get(f"/tasks/{makers.draft(owner, scene, frames='1-2').pk}/estimate").json()
    assert (body["basis"], round(body["expected_hours"], 4), round(body["estimated_cost"], 2)) == (
        "scene",
        0.0111,
        0.4,
    )
    assert makers.audit() == {}


def test_node_hours_are_those_on_the_wall(owner: User, node: RenderNode, by_hour: PriceRule) -> None:
    PriceRule.objects.create(engine="blender", unit="node_hour", price=36, valid_from=timezone.now())
    job = makers.queued(owner, frames="1")
    attempt = makers.claimed(node)
    Attempt.objects.filter(pk=attempt.pk).update(created_at=timezone.now() - timedelta(seconds=90))
    makers.succeed(attempt, cpu_seconds=1)
    assert (fresh(job).price_unit, round(fresh(job).actual_cost or 0, 1)) == ("node_hour", Decimal("0.9"))
    assert makers.audit() == {}


def test_what_ends_badly_costs_no_hours(owner: User, node: RenderNode, by_hour: PriceRule) -> None:
    job = makers.queued(owner, frames="1-3")
    makers.fail(makers.claimed(node))
    attempts.lose(attempt_id=makers.claimed(node).pk)
    stopped = makers.claimed(node)
    jobs.pause_job(job=fresh(job))
    Attempt.objects.filter(pk=stopped.pk).update(cpu_seconds=99)
    jobs.cancel_job(job=fresh(job))
    assert (fresh(job).actual_cost, makers.money(owner)[1], Bill.objects.count()) == (0, 0, 0)
    assert makers.audit() == {}


def test_a_job_that_outgrows_its_hold_takes_more(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-4")
    makers.succeed(makers.claimed(node), cpu_seconds=100)
    # 100 s are used, 300 more expected, rounded up to the fen.
    assert (fresh(job).status, makers.money(owner)[1]) == (Status.RENDERING, Decimal("4.01"))
    for _frame in range(3):
        makers.succeed(makers.claimed(node), cpu_seconds=100)
    assert (fresh(job).status, makers.money(owner)) == (Status.COMPLETED, (balance - 4, 0))
    assert makers.audit() == {}


def outgrown(owner: User, node: RenderNode) -> tuple[RenderJob, Attempt]:
    """A job of four frames, held at 0.41, that has 0.59 more to spend; its first frame took 0.70, its second runs."""
    spend(owner, "1.00")
    job = makers.queued(owner, frames="1-4")
    first, second = makers.claimed(node), makers.claimed(node)
    makers.succeed(first, cpu_seconds=70)
    return fresh(job), second


def test_at_an_exhausted_balance_a_job_waits_and_goes_on_after_a_recharge(
    owner_api: Client, owner: User, node: RenderNode, by_hour: PriceRule, settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    job, second = outgrown(owner, node)
    # As far as the money goes: all of it is held now, and still covers what is used.
    assert (job.status, makers.money(owner)[1] - wallet_of(owner).holds.get(key="away").amount) == (
        Status.RENDERING, Decimal("1.00"),
    )  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        makers.succeed(second, cpu_seconds=70)
    job = fresh(job)
    assert (job.status, job.pause_reason, job.done_frames) == (Status.PAUSED, "balance", 2)
    assert Notification.objects.filter(user=owner, title="%(task)s waits for money").count() == 1
    assert not Attempt.objects.filter(status="running").exists()
    assert wallet_of(owner).available == 0
    refused = owner_api.put(f"/tasks/{job.pk}/resume")
    assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_balance")
    tasks.continue_paid(str(wallet_of(owner).pk))
    assert fresh(job).status == Status.PAUSED
    assert makers.audit() == {}

    # 1.40 is used: 0.40 was owed, 0.70 is for the next frame, which is all there is for now.
    give(wallet=wallet_of(owner), amount=Decimal("1.20"), key="more", description="more")
    tasks.continue_paid(str(wallet_of(owner).pk))
    job = fresh(job)
    assert (job.status, job.pause_reason, wallet_of(owner).available) == (Status.QUEUED, "", 0)
    makers.succeed(makers.claimed(node), cpu_seconds=70)
    jobs.cancel_job(job=fresh(job))
    assert fresh(job).actual_cost == Decimal("2.10")
    assert makers.audit() == {}


def test_what_is_beyond_the_money_is_not_charged(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    job, second = outgrown(owner, node)
    makers.succeed(second, cpu_seconds=70)
    assert money.capture_due(now=timezone.now() + timedelta(hours=1)) == 1
    assert (fresh(job).status, fresh(job).actual_cost) == (Status.PAUSED, 1)
    assert makers.audit() == {}
    jobs.cancel_job(job=fresh(job))

    assert (fresh(job).actual_cost, wallet_of(owner).available) == (1, 0)
    bill = Bill.objects.get(task_id=job.pk)
    assert [line.amount for line in bill.lines.order_by("-amount")] == [
        Decimal("1.400004"),
        Decimal("-0.400004"),
    ]
    assert makers.audit() == {}


def test_a_frame_that_runs_beyond_the_money_is_stopped(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    RenderNode.objects.update(cores=4)  # one for each slot
    job, second = outgrown(owner, node)
    money.pause_uncovered()
    assert fresh(job).status == Status.RENDERING
    Attempt.objects.filter(pk=second.pk).update(created_at=timezone.now() - timedelta(seconds=31))
    with django_capture_on_commit_callbacks(execute=True):
        money.pause_uncovered()
    second.refresh_from_db()
    assert (fresh(job).pause_reason, second.status) == ("balance", "stopped")
    assert makers.audit() == {}


@pytest.mark.django_db(transaction=True)
def test_jobs_by_the_hour_never_take_more_than_there_is(
    owner: User, node: RenderNode, by_hour: PriceRule, settings: Any
) -> None:
    """Frames of three jobs end, are stopped and charged while their money runs out and more comes in."""
    settings.RENDER_EXPECTED_FRAME_SECONDS = 10
    spend(owner, "2.00")
    running_jobs = [makers.queued(owner, frames="1-4") for _job in range(3)]
    running = [makers.claimed(node) for _frame in range(6)]
    given = Decimal(0)

    def act(number: int) -> None:
        try:
            if number < 6:
                makers.succeed(running[number], cpu_seconds=50 + 10 * number)
            elif number == 6:
                money.capture_due(now=timezone.now() + timedelta(hours=1))
                money.pause_uncovered()
            else:
                credit(user=owner, amount=Decimal("0.50"), key=f"more:{new_id()}", reason="more")
                jobs.continue_paid()
        except DomainError:
            return

    race(8, act)
    given += Decimal("0.50")
    assert makers.audit() == {}
    for job in running_jobs:
        if fresh(job).status not in RenderJob.FINAL_STATUSES:
            jobs.cancel_job(job=fresh(job))
    assert makers.audit() == {}
    taken = sum(Bill.objects.values_list("amount", flat=True))
    assert 0 < taken <= 2 + given
    assert wallet_of(owner).available == 2 + given - taken


# --- Teams ---------------------------------------------------------------------------------------------------


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
    jobs.cancel_job(job=fresh(job))
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
    assert (fresh(job).status, makers.money(shared.drive.team)) == (Status.DRAFT, (100, 0))  # type: ignore[arg-type]


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
    jobs.cancel_job(job=fresh(job))

    # 0.50 was taken; what was released counts no more. Next month nothing of it counts.
    assert owner_api.post(f"/tasks/{more.pk}/submit").status_code == 202
    jobs.cancel_job(job=fresh(more))
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
            jobs.submit_job(job=fresh(drafts[number]))
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
    assert (fresh(job).status, makers.money(team)) == (Status.CANCELLED, (Decimal("99.5"), 0))
    assert makers.audit() == {}


def test_further_frames_of_who_left_the_team_are_not_paid_by_it(
    owner_api: Client, owner: User, node: RenderNode, shared: File
) -> None:
    job = makers.queued(owner, shared, frames="1")
    makers.succeed(makers.claimed(node))
    TeamMember.objects.filter(user=owner).delete()
    DriveMember.objects.create(drive=shared.drive, user=owner, role="editor")
    with pytest.raises(DomainError) as refused:
        add_frames(job=fresh(job), frames="2")
    assert refused.value.code == "spending_not_allowed"
    assert makers.audit() == {}
