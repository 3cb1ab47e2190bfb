"""From pending to queued, in the background: wait for the pre-flight, hold the money, make the frames."""

from itertools import product
from uuid import UUID

from django.db import transaction
from django.utils.translation import ngettext

from common.errors import DomainError
from drives.errors import NameTaken
from drives.models import Folder
from drives.paths import join
from drives.services.places import ensure_folders
from drives.services.tree import create_folder
from rendering import frame_range, messages
from rendering.models import Frame, JobLog, RenderJob, RenderStep
from rendering.services import news
from rendering.services.dependencies import tell_of_dead
from rendering.services.dispatch import dispatch_on_commit
from rendering.services.frames import make_frames, release_on_commit, show_ready
from rendering.services.limits import limits_of
from rendering.services.money import cover, settle
from rendering.services.plans import plan_job
from rendering.services.steps import folder_name, steps_of
from rendering.services.submitting import Status, fix, note_failure

RESULTS = "/renders"


def advance_job(*, job_id: UUID) -> None:
    """Queue a pending job whose pre-flight has ended, or send it back to draft where it cannot be rendered or paid.

    May be called by anybody, any number of times.
    """
    found = RenderJob.objects.select_related("user", "drive").filter(pk=job_id, status=Status.PENDING).first()
    if found is None:
        return
    try:
        # A job whose plan was known at submit is secured already.
        plan = None if found.total_frames else plan_job(found)
        if plan is None and not found.total_frames:
            return
        with transaction.atomic():
            job = lock_pending(job_id)
            if job is None:
                return
            if plan is not None and not job.total_frames:
                if job.updated_at != found.updated_at:
                    # Changed since it was read: the price is not that of its priority.
                    messages.ask_advance(job_id)
                    return
                fix(job, plan)
            enqueue(job)
            if plan is not None:
                cover(job)  # last: the wallet comes after drives and limits in the order of locks
    except DomainError as error:
        send_back(job_id, error)


def lock_pending(job_id: UUID) -> RenderJob | None:
    rows = RenderJob.objects.select_for_update(of=("self",), no_key=True).select_related("user", "drive")
    return rows.filter(pk=job_id, status=Status.PENDING).first()


def enqueue(job: RenderJob) -> None:
    """Make the steps, their frames and the folder of the results, and offer the job to the nodes."""
    numbers = frame_range.parse(job.frame_range)
    test_numbers = first_middle_last(numbers) if job.has_test_frames else []
    depends = job.dependencies.exists()
    ready = [] if depends else test_numbers or numbers
    waiting = sorted(set(numbers) - set(ready))
    steps = RenderStep.objects.bulk_create(
        RenderStep(job=job, name=plan.name, camera=plan.camera, layer=plan.layer) for plan in steps_of(job)
    )
    make_frames(job, product(steps, ready))
    make_frames(job, product(steps, waiting), Frame.Status.WAITING)
    folder = results_folder(job)  # before the limits: so is the order of locks
    limits = limits_of(job)
    job.move_to(
        Status.QUEUED,
        output_folder=folder.path,
        share=limits.share,
        limits=[limit.pk for limit in limits.all],
        test_numbers=test_numbers,
    )
    if ready:
        show_ready(job)
    if depends:
        tell_of_dead(job)
        release_on_commit(job)
    news.log(
        job,
        ngettext("Task queued: %(count)s frame.", "Task queued: %(count)s frames.", job.total_frames)
        % {"count": job.total_frames},
    )
    news.tell_status(job)
    dispatch_on_commit(job.engine)


def first_middle_last(numbers: list[int]) -> list[int]:
    """The frames that show whether the others are worth rendering; all, where there are no more than three."""
    return sorted({numbers[0], numbers[len(numbers) // 2], numbers[-1]})


def results_folder(job: RenderJob) -> Folder:
    """A new folder for the job's results, named after the job, so that no job overwrites the results of another."""
    name = folder_name(job.task_name) or str(job.pk)
    ensure_folders(drive=job.drive, paths={RESULTS})
    for number in range(1, 1000):
        candidate = name if number == 1 else f"{name} ({number})"
        if Folder.objects.filter(drive=job.drive, path=join(RESULTS, candidate)).exists():
            continue
        try:
            return create_folder(drive=job.drive, actor=job.user, parent_path=RESULTS, name=candidate)
        except NameTaken:
            continue
    return create_folder(drive=job.drive, actor=job.user, parent_path=RESULTS, name=str(job.pk))


def send_back(job_id: UUID, error: DomainError) -> None:
    """A problem was found only after submit: make the job a draft again, with the reason."""
    with transaction.atomic():
        job = lock_pending(job_id)
        if job is None:
            return
        settle(job)
        job.move_to(Status.DRAFT, hold=None, total_frames=0, actual_cost=None)
        note_failure(job, error)
        news.log(job, str(error), level=JobLog.Level.ERROR)
        news.tell_status(job)


def pending_jobs(engine: str = "") -> list[UUID]:
    """Pending jobs, the oldest first."""
    rows = RenderJob.objects.filter(status=Status.PENDING)
    if engine:
        rows = rows.filter(engine=engine)
    return list(rows.order_by("submitted_at").values_list("pk", flat=True)[:200])
