"""How attempts end, and what that means for frames, job, drive and money."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from billing.models import Bill, BillLine, LedgerEntry
from common.errors import Conflict
from drives.models import Drive, File, Folder
from drives.services.trash import trash
from rendering.errors import LateResult
from rendering.models import Attempt, Frame, FrameOutput, RenderJob, RenderNode
from rendering.services import attempts, claims, jobs
from rendering.services.attempts import FrameResult, Output, Usage
from rendering.tasks import tend
from tests.rendering import makers

pytestmark = pytest.mark.django_db
Status = RenderJob.Status


def test_a_rendered_frame_lands_in_the_drive(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1-2")

    attempt = makers.claimed(node)
    makers.succeed(attempt)

    attempt.refresh_from_db()
    assert (attempt.status, attempt.progress, attempt.exit_code) == ("succeeded", 100, 0)
    assert attempt.cpu_seconds == 1.5
    assert attempt.ended_at is not None
    frame = Frame.objects.get(number=1)
    assert (frame.status, frame.attempt, frame.failures) == ("done", attempt, 0)
    assert frame.seconds is not None and frame.seconds >= 0
    output = FrameOutput.objects.select_related("file__folder").get()
    assert output.file is not None
    assert (output.file.folder_path, output.file.name, output.file.blob) == (
        "/renders/shot", "0001.png", output.blob,
    )  # fmt: skip
    job.refresh_from_db()
    assert (job.status, job.done_frames, job.progress) == (Status.RENDERING, 1, 50)
    assert makers.audit() == {}


def test_the_last_frame_closes_the_job_and_the_money(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-3")

    for _frame in range(3):
        makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    assert (job.status, job.actual_cost, job.progress, job.failure_code) == (
        Status.COMPLETED, Decimal("1.5"), 100, "",
    )  # fmt: skip
    assert job.completed_at is not None
    assert makers.money(owner) == (balance - Decimal("1.5"), 0)
    bill = Bill.objects.get(task_id=job.pk)
    line = BillLine.objects.get(bill=bill)
    assert (bill.amount, line.quantity, line.unit_price, line.amount) == (
        Decimal("1.5"), 3, Decimal("0.5"), Decimal("1.5"),
    )  # fmt: skip
    entries = LedgerEntry.objects.filter(task_id=job.pk).order_by("sequence")
    assert list(entries.values_list("kind", "amount", "held_delta")) == [
        ("hold", 0, Decimal("1.5")), ("consume", Decimal("-1.5"), Decimal("-1.5")),
    ]  # fmt: skip
    assert makers.audit() == {}


def test_a_price_below_a_fen_is_rounded_once(owner: User, node: RenderNode) -> None:
    from billing.models import PriceRule

    PriceRule.objects.update(price=Decimal("0.003334"))
    job = makers.queued(owner, frames="1-4")
    balance, held = makers.money(owner)
    for _frame in range(4):
        makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    assert (held, job.actual_cost) == (Decimal("0.02"), Decimal("0.01"))
    assert makers.money(owner) == (balance - Decimal("0.01"), 0)
    assert makers.audit() == {}


def test_results_land_in_a_full_drive(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    used = Drive.objects.get(user=owner).used_size
    Drive.objects.filter(user=owner).update(total_size=used)

    makers.succeed(makers.claimed(node))

    drive = Drive.objects.get(user=owner)
    assert drive.used_size == used + len(b"picture 1")
    assert drive.total_size == used


def test_results_land_where_their_folder_went_into_the_trash(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1-2")
    makers.succeed(makers.claimed(node))
    trash(entry=Folder.objects.get(path="/renders"), actor=owner)

    makers.succeed(makers.claimed(node))

    assert list(
        File.objects.living().filter(folder__path="/renders/shot").values_list("name", flat=True)
    ) == ["0002.png"]


def test_a_failed_frame_is_tried_three_times(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1-2")

    for failures in (1, 2):
        makers.fail(makers.claimed(node))
        frame = Frame.objects.get(number=1)
        assert (frame.status, frame.failures, frame.failure_code) == ("ready", failures, "crashed")
    makers.fail(makers.claimed(node))
    job.refresh_from_db()
    assert (job.status, job.failed_frames, job.failure_code) == (Status.RENDERING, 1, "crashed")
    makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    assert (job.status, job.done_frames, job.failed_frames, job.progress) == (Status.FAILED, 1, 1, 100)
    assert (job.actual_cost, job.error_message) == (Decimal("0.5"), "It went wrong: crashed.")
    assert makers.money(owner) == (balance - Decimal("0.5"), 0)
    assert Attempt.objects.filter(status="failed").count() == 3
    assert makers.audit() == {}


def test_a_frame_that_succeeds_at_last_leaves_no_trace_of_failure(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1")
    makers.fail(makers.claimed(node))
    makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    frame = Frame.objects.get()
    assert (job.status, job.failure_code, frame.failure_code, frame.failures) == (
        Status.COMPLETED, "", "", 1,
    )  # fmt: skip


def test_a_fault_of_the_scene_is_not_tried_again(owner: User, node: RenderNode) -> None:
    balance, _held = makers.money(owner)
    job = makers.queued(owner, frames="1")

    makers.fail(makers.claimed(node), "no_camera", is_permanent=True)

    job.refresh_from_db()
    assert (job.status, job.failure_code, job.actual_cost) == (Status.FAILED, "no_camera", 0)
    assert makers.money(owner) == (balance, 0)
    assert not Bill.objects.exists()
    assert makers.audit() == {}


def test_a_lost_frame_is_ready_again_up_to_ten_times(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1")

    for losses in range(1, 10):
        makers.expire(makers.claimed(node))
        assert attempts.reap(timezone.now()) == 1
        frame = Frame.objects.get()
        assert (frame.status, frame.losses, frame.failures) == ("ready", losses, 0)
    makers.expire(makers.claimed(node))
    attempts.reap(timezone.now())

    job.refresh_from_db()
    assert (job.status, job.failure_code, Frame.objects.get().status) == (Status.FAILED, "lost", "failed")
    assert makers.money(owner)[1] == 0
    assert makers.audit() == {}


def test_frames_that_a_node_gives_back_count_for_nothing(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    attempt = makers.claimed(node)

    attempts.give_back(attempt_id=attempt.pk)
    attempts.give_back(attempt_id=attempt.pk)

    frame = Frame.objects.get()
    assert (frame.status, frame.losses, frame.failures) == ("ready", 0, 0)
    assert makers.frame_of(makers.claimed(node)) == 1


def test_a_lease_is_renewed_while_the_attempt_lives(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    attempt = makers.claimed(node)

    assert attempts.renew(attempt_id=attempt.pk, progress=40, message="m" * 600, log_tail="one\ntwo")

    before = attempt.lease_expires_at
    attempt.refresh_from_db()
    assert attempt.lease_expires_at > before
    assert (attempt.progress, len(attempt.message), attempt.log_tail) == (40, 500, "one\ntwo")
    makers.expire(attempt)
    assert not attempts.renew(attempt_id=attempt.pk, progress=50, message="", log_tail="")


def lost(attempt: Attempt) -> None:
    makers.expire(attempt)
    attempts.reap(timezone.now())


def paused(attempt: Attempt) -> None:
    jobs.pause_job(job=RenderJob.objects.get(pk=attempt.job_id))


def paused_and_resumed(attempt: Attempt) -> None:
    paused(attempt)
    jobs.resume_job(job=RenderJob.objects.get(pk=attempt.job_id))


def cancelled(attempt: Attempt) -> None:
    jobs.cancel_job(job=RenderJob.objects.get(pk=attempt.job_id))


def delivered(attempt: Attempt) -> None:
    makers.succeed(attempt)


def failed(attempt: Attempt) -> None:
    makers.fail(attempt)


def taken_back(attempt: Attempt) -> None:
    """A claim does not wait for the disk: after a crash of the database there may have been none."""
    Frame.objects.filter(attempt=attempt).update(status="ready", attempt=None)
    Attempt.objects.filter(pk=attempt.pk).delete()


@pytest.mark.parametrize(
    "event", [lost, paused, paused_and_resumed, cancelled, delivered, failed, taken_back]
)
@pytest.mark.parametrize("late", [makers.succeed, makers.fail])
def test_a_late_result_is_refused_and_changes_nothing(
    owner: User, node: RenderNode, event: object, late: object
) -> None:
    makers.queued(owner, frames="1-2")
    attempt = makers.claimed(node)
    event(attempt)  # type: ignore[operator]
    models = (RenderJob, Frame, Attempt, FrameOutput, File, LedgerEntry)
    before = [list(model.objects.order_by("pk").values()) for model in models]

    with pytest.raises(LateResult):
        late(attempt)  # type: ignore[operator]

    assert [list(model.objects.order_by("pk").values()) for model in models] == before
    assert not attempts.renew(attempt_id=attempt.pk, progress=1, message="", log_tail="")
    assert makers.audit() == {}


def test_a_late_result_is_a_conflict() -> None:
    assert issubclass(LateResult, Conflict)


def test_an_attempt_that_was_lost_goes_on_elsewhere(owner: User, node: RenderNode) -> None:
    job = makers.queued(owner, frames="1")
    lost(makers.claimed(node))

    makers.succeed(makers.claimed(node))

    job.refresh_from_db()
    assert (job.status, job.actual_cost) == (Status.COMPLETED, Decimal("0.5"))
    assert Frame.objects.get().attempts.count() == 2


def test_one_broken_job_does_not_stop_the_reaper(owner: User, stranger: User, node: RenderNode) -> None:
    broken = makers.queued(owner, frames="1", priority=3)
    makers.expire(makers.claimed(node))
    makers.queued(stranger, frames="1")
    makers.expire(makers.claimed(node))
    # As no service leaves it: the last frame is over, and the job cannot end from here.
    RenderJob.objects.filter(pk=broken.pk).update(done_frames=1, status=Status.PENDING)

    assert attempts.reap(timezone.now()) == 1
    assert Frame.objects.get(job__user=stranger).status == "ready"


def test_tending_takes_up_what_was_left(owner: User, node: RenderNode) -> None:
    """It may be called at any time, by anybody, also where there is nothing to do."""
    tend()
    makers.queued(owner, frames="1")
    makers.expire(makers.claimed(node))
    tend()
    assert Frame.objects.get().status == "ready"


def test_a_job_ends_though_nobody_could_say_that_it_began(
    owner: User, node: RenderNode, settings: Any
) -> None:
    """Each claim died between the frame and the job."""
    settings.RENDER_MAX_LOST = 2
    job = makers.queued(owner, frames="1")
    for _time in range(2):
        taken = claims.take_frames(node, "blender")
        assert taken is not None
        attempts.lose(attempt_id=taken.attempt.pk)
    job.refresh_from_db()
    assert (job.status, job.failure_code) == (RenderJob.Status.FAILED, "lost")
    assert job.started_at is not None
    assert makers.audit() == {}


def deliver_two(attempt: Attempt, names: tuple[str, ...]) -> None:
    outputs = [Output(name, makers.picture_blob(), None, 64, 36) for name in names]
    result = FrameResult(makers.frame_of(attempt), outputs)
    attempts.succeed(attempt_id=attempt.pk, results=[result], usage=Usage())


def test_what_landed_early_may_be_delivered_again(owner: User, node: RenderNode) -> None:
    """The node did not hear that it had: it delivers it once more, alone and at the end of the run."""
    job = makers.queued(owner, frames="1-2", chunk_size=2)
    attempt = makers.claimed(node)
    blob = makers.picture_blob()
    results = [FrameResult(number, [Output(f"{number}.png", blob, blob, 64, 36)]) for number in (1, 2)]

    for _time in range(2):
        attempts.land_frames(attempt_id=attempt.pk, results=results[:1])
    job.refresh_from_db()
    assert (job.done_frames, Frame.objects.get(number=2).status) == (1, "running")
    attempts.succeed(attempt_id=attempt.pk, results=results, usage=Usage())

    job.refresh_from_db()
    assert (job.status, job.done_frames, job.actual_cost) == (Status.COMPLETED, 2, 1)
    assert makers.audit() == {}


def test_a_frame_may_have_several_outputs(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    deliver_two(makers.claimed(node), ("0001.png", "0001_depth.png"))
    assert list(FrameOutput.objects.order_by("name").values_list("name", flat=True)) == [
        "0001.png", "0001_depth.png",
    ]  # fmt: skip


def test_a_node_whose_clock_is_slow(owner: User, node: RenderNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its program does not tell the time of a frame, the database does."""
    makers.queued(owner, frames="1")
    attempt, slow = makers.claimed(node), timezone.now() - timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: slow)
    makers.succeed(attempt)
    seconds = Frame.objects.get().seconds
    assert seconds is not None and 0 <= seconds < 600


def test_old_attempts_are_not_expired(owner: User, node: RenderNode) -> None:
    makers.queued(owner, frames="1")
    makers.claimed(node)
    now = timezone.now()
    assert attempts.expired_attempts(now) == []
    assert len(attempts.expired_attempts(now + settings.RENDER_LEASE * 2)) == 1
