"""Jobs for tests, brought to a state by the services that do so in life, and the audit of their money."""

import itertools
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import OpenImageIO as oiio  # noqa: N813  (its own documentation calls it so)
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from accounts.models import Team, User
from billing.models import Hold
from billing.services.gifts import give
from billing.services.holds import place_hold
from billing.services.ledger import wallet_of
from common.ids import new_id
from drives.models import Blob, Drive, File
from drives.services.blobs import store_chunks, store_file
from drives.storage import blob_storage
from rendering.engines import Failure
from rendering.models import Attempt, RenderJob, RenderNode, SceneReport
from rendering.node import Node
from rendering.services import attempts, claims
from rendering.services.admission import advance_job
from rendering.services.attempts import FrameResult, Output, Usage
from rendering.services.creating import NewJob, create_job
from rendering.services.submitting import submit_job
from tests.factories import put

SCENES = Path(__file__).resolve().parent / "scenes"
REPORT = {
    "blender_version": [5, 0, 119], "engine_version": [5, 0, 1], "scene": "Scene", "renderer": "CYCLES",
    "frame_start": 1, "frame_end": 10, "frame_step": 1, "width": 64, "height": 36, "fps": 24.0,
    "cameras": ["camera"], "active_camera": "camera", "output_format": "PNG", "assets": [],
}  # fmt: skip
numbers = itertools.count(1)


def scene(user: User, path: str = "", **data: Any) -> File:
    """A scene in the user's drive with a report of its own, as the pre-flight would have left it."""
    number = next(numbers)
    file = put(user, path or f"/proj/scene-{number}.blend", b"BLENDER" + new_id().bytes)
    set_report(file, **data)
    return file


def set_report(file: File, **data: Any) -> SceneReport:
    return SceneReport.objects.create(
        blob=file.blob, engine="blender", status="ready", due_at=timezone.now(), data=REPORT | data
    )


def asset(path: str, kind: str = "image", *, required: bool = True) -> dict[str, Any]:
    return {"path": path, "kind": kind, "packed": False, "users": ["box"], "required": required}


def put_scenes(user: User, folder: str, *names: str) -> list[File]:
    """Files of tests/rendering/scenes in a folder of the user's drive."""
    return [put(user, f"{folder}/{name}", (SCENES / name).read_bytes()) for name in names]


def team_scene(user: User, team: Team, money: str = "100", **data: Any) -> File:
    """A scene in a drive of the team, which has money of its own."""
    give(wallet=wallet_of(team), amount=Decimal(money), key=f"test:{new_id()}", description="test")
    drive = Drive.objects.create(team=team, name="shared")
    file = put(user, f"/proj/scene-{next(numbers)}.blend", b"BLENDER" + new_id().bytes, drive=drive)
    set_report(file, **data)
    return file


def draft(user: User, file: File | None = None, **wishes: Any) -> RenderJob:
    wanted = {"task_name": "shot", "frames": "1-3", **wishes}
    return create_job(user=user, new=NewJob(scene_file_id=(file or scene(user)).pk, **wanted))


def queued(user: User, file: File | None = None, **wishes: Any) -> RenderJob:
    job = submit_job(job=draft(user, file, **wishes))
    advance_job(job_id=job.pk)
    job.refresh_from_db()
    assert job.status == RenderJob.Status.QUEUED, job.failure_code
    return job


def in_status(user: User, status: RenderJob.Status, node: RenderNode) -> RenderJob:
    """A job of two frames in any status; a node has one of them where it renders or has failed."""
    if status == RenderJob.Status.DRAFT:
        return draft(user, frames="1-2")
    if status == RenderJob.Status.PENDING:
        return submit_job(job=draft(user, frames="1-2"))
    job = queued(user, frames="1-2")
    if status == RenderJob.Status.RENDERING:
        claimed(node)
    elif status == RenderJob.Status.PAUSED:
        RenderJob.objects.filter(pk=job.pk).update(status=status, pause_reason="user")
    elif status == RenderJob.Status.COMPLETED:
        for _frame in range(2):
            succeed(claimed(node))
    elif status == RenderJob.Status.FAILED:
        for _frame in range(2):
            fail(claimed(node), is_permanent=True)
    elif status == RenderJob.Status.CANCELLED:
        from rendering.services.jobs import cancel_job

        cancel_job(job=job)
    job.refresh_from_db()
    assert job.status == status
    return job


def claimed(node: RenderNode) -> Attempt:
    attempt = claims.claim(node=node, engine="blender")
    assert attempt is not None
    return attempt


def frame_of(attempt: Attempt) -> int:
    return attempt.frames.get().number


def succeed(
    attempt: Attempt, cpu_seconds: float = 1.5, seconds: float | None = None, loading_seconds: float = 0
) -> None:
    """Deliver a picture for each frame of the attempt, whose program ran so many `seconds`, some of them loading."""
    results = []
    for number in attempt.frames.order_by("number").values_list("number", flat=True):
        blob = picture_blob(seed=number)
        results.append(FrameResult(number, [Output(f"{number:04d}.png", blob, blob, 64, 36)]))
    usage = Usage(exit_code=0, seconds=seconds, loading_seconds=loading_seconds, cpu_seconds=cpu_seconds)
    attempts.succeed(attempt_id=attempt.pk, results=results, usage=usage)


def fail(attempt: Attempt, code: str = "crashed", *, is_permanent: bool = False) -> None:
    failure = Failure(code, f"It went wrong: {code}.", is_permanent=is_permanent)
    attempts.fail(attempt_id=attempt.pk, failure=failure, usage=Usage(exit_code=3))


def expire(attempt: Attempt) -> None:
    """Let the attempt's lease be over."""
    Attempt.objects.filter(pk=attempt.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def save_picture(path: Path, *, width: int = 64, height: int = 36, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    image = oiio.ImageBuf(pixels)
    assert image.write(str(path)), image.geterror()
    return path


def picture_blob(seed: int = 0) -> Blob:
    return store_chunks([b"picture %d" % seed])


def money(owner: User | Team) -> tuple[Decimal, Decimal]:
    """Balance and what of it is held."""
    wallet = wallet_of(owner)
    return wallet.balance, wallet.held


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


# What must hold at every moment, whoever raced whom. Each statement returns the rows that break it.
BOOKS = {
    "a wallet is the sum of its entries": """
        SELECT w.id FROM billing_wallet w LEFT JOIN billing_ledgerentry e ON e.wallet_id = w.id
         GROUP BY w.id HAVING w.balance <> coalesce(sum(e.amount), 0)
                           OR w.held <> coalesce(sum(e.held_delta), 0) OR w.sequence <> count(e.id)""",
    "what is held is what open holds say": """
        SELECT w.id FROM billing_wallet w WHERE w.held <>
               (SELECT coalesce(sum(h.amount - h.captured), 0) FROM billing_hold h
                 WHERE h.wallet_id = w.id AND h.status = 'open')""",
    "a closed hold's capture is its bill and its entries": """
        SELECT h.id FROM billing_hold h LEFT JOIN billing_bill b ON b.hold_id = h.id WHERE h.status = 'closed' AND
               (h.captured <> coalesce(b.amount, 0) OR h.captured <> (SELECT coalesce(-sum(e.amount), 0)
                  FROM billing_ledgerentry e WHERE e.key LIKE 'consume:' || h.key || ':%'))""",
    "a bill is the sum of its lines": """
        SELECT b.id FROM billing_bill b WHERE b.amount <>
               (SELECT round(sum(l.amount), 2) FROM billing_billline l WHERE l.bill_id = b.id)""",
    "one open hold at most for a job, and it is the job's": """
        SELECT h.id FROM billing_hold h LEFT JOIN rendering_renderjob j ON j.hold_id = h.id
         WHERE h.status = 'open' AND h.purpose = 'job'
           AND (j.id IS NULL OR j.status NOT IN (1, 2, 3, 4) OR j.id <> h.task_id)""",
    "a job that is over paid for its rendered frames and nothing else": """
        SELECT j.id FROM rendering_renderjob j WHERE j.status IN (5, 6, 7) AND j.unit_price IS NOT NULL AND (
               j.charged_frames <> j.done_frames
            OR EXISTS (SELECT 1 FROM billing_hold h WHERE h.task_id = j.id AND h.status = 'open')
            OR j.actual_cost <> (SELECT coalesce(sum(h.captured), 0) FROM billing_hold h WHERE h.task_id = j.id))""",
    "a job has paid what its holds captured, and its bills name each charged frame once": """
        SELECT j.id FROM rendering_renderjob j WHERE j.status > 1 AND (
               coalesce(j.actual_cost, 0) <>
               (SELECT coalesce(sum(h.captured), 0) FROM billing_hold h WHERE h.task_id = j.id)
            OR j.price_unit = 'frame' AND j.unit_price >= 0.005 AND j.charged_frames <> (
               SELECT coalesce(sum(l.quantity), 0) FROM billing_billline l JOIN billing_bill b ON b.id = l.bill_id
                WHERE b.task_id = j.id AND l.description <> '因场景错误而失败'))""",
    "a line has the price of the job's rule, at a priority that there is": """
        SELECT l.id FROM billing_billline l JOIN billing_bill b ON b.id = l.bill_id
          JOIN rendering_renderjob j ON j.id = b.task_id JOIN billing_pricerule r ON r.id = j.price_rule_id
         WHERE l.quantity > 0 AND l.description <> '因场景错误而失败' AND l.unit_price NOT IN (
               SELECT round(j.base_price * m * (1 - j.price_discount), 6)
                 FROM unnest(ARRAY[1, r.low_multiplier, r.high_multiplier, r.urgent_multiplier]) m)""",
    "what is open of a job is held": """
        SELECT j.id FROM rendering_renderjob j LEFT JOIN billing_hold h ON h.id = j.hold_id AND h.status = 'open'
         WHERE j.status IN (2, 3, 4) AND j.price_unit = 'frame'
           AND coalesce(h.amount, 0) < (j.total_frames - j.failed_frames - j.charged_frames) * j.unit_price""",
    "no more is captured than was rendered": """
        SELECT j.id FROM rendering_renderjob j JOIN billing_hold h ON h.id = j.hold_id AND h.status = 'open'
         WHERE j.price_unit = 'frame' AND h.captured > round((j.done_frames - j.charged_frames) * j.unit_price, 2)""",
    "a job that is over paid for the hours of its runs that ended well": """
        SELECT j.id FROM rendering_renderjob j
          JOIN (SELECT job_id, sum(cpu_seconds::numeric(20, 6)) AS cpu,
                       sum(extract(epoch FROM ended_at - created_at)) AS wall
                  FROM rendering_attempt WHERE status = 'succeeded' GROUP BY job_id) a ON a.job_id = j.id
         WHERE j.status IN (5, 6, 7) AND j.price_unit <> 'frame' AND j.charged_hours <>
               round(CASE j.price_unit WHEN 'core_hour' THEN a.cpu ELSE a.wall END / 3600, 6)""",
    "who pays is the team of the drive, or who submitted": """
        SELECT h.id FROM billing_hold h JOIN rendering_renderjob j ON j.id = h.task_id
          JOIN billing_wallet w ON w.id = h.wallet_id
         WHERE w.team_id IS DISTINCT FROM j.team_id OR j.team_id IS NULL AND w.user_id <> j.user_id
            OR h.spender_id <> j.user_id""",
    "a job that waits for money has nothing running": """
        SELECT j.id FROM rendering_renderjob j JOIN rendering_attempt a ON a.job_id = j.id AND a.status = 'running'
         WHERE j.pause_reason = 'balance'""",
    "what a member holds and has taken this month is within their limit": """
        SELECT l.id FROM billing_memberlimit l JOIN billing_wallet w ON w.team_id = l.team_id
         WHERE l.amount < (SELECT coalesce(sum(h.amount - h.released), 0) FROM billing_hold h
                            WHERE h.wallet_id = w.id AND h.spender_id = l.user_id)""",
    "counters are what frames say": """
        SELECT j.id FROM rendering_renderjob j WHERE j.status > 1 AND (j.done_frames, j.failed_frames) <>
               (SELECT count(*) FILTER (WHERE f.status = 'done'), count(*) FILTER (WHERE f.status = 'failed')
                  FROM rendering_frame f WHERE f.job_id = j.id)""",
    "a frame that runs has a running attempt, and only in a job that renders": """
        SELECT f.id FROM rendering_frame f JOIN rendering_attempt a ON a.id = f.attempt_id
          JOIN rendering_renderjob j ON j.id = f.job_id
         WHERE f.status = 'running' AND (a.status <> 'running' OR j.status NOT IN (2, 3))""",
    "a limit counts the attempts that run": """
        SELECT l.id FROM rendering_concurrencylimit l WHERE l.running <>
               (SELECT count(*) FROM rendering_attempt a WHERE a.status = 'running' AND l.id = ANY(a.limits))""",
    "an owner with a job that can be claimed is marked as waiting": """
        SELECT j.id FROM rendering_renderjob j WHERE j.status IN (2, 3) AND j.has_ready_frames AND NOT EXISTS
               (SELECT 1 FROM rendering_waitingowner w WHERE w.share_id = j.share_id
                   AND w.engine = j.engine AND w.priority = j.priority)""",
    "an attempt that runs has a frame": """
        SELECT a.id FROM rendering_attempt a WHERE a.status = 'running' AND NOT EXISTS
               (SELECT 1 FROM rendering_frame f WHERE f.attempt_id = a.id AND f.status = 'running')""",
    "a rendered frame has a result of its own": """
        SELECT f.id FROM rendering_frame f WHERE f.status = 'done' AND NOT EXISTS
               (SELECT 1 FROM rendering_frameoutput o WHERE o.frame_id = f.id AND o.attempt_id = f.attempt_id)""",
}


def audit() -> dict[str, list[UUID]]:
    """The rules that are broken, with the rows that break them; empty when all is well."""
    broken = {}
    with connection.cursor() as cursor:
        for rule, statement in BOOKS.items():
            cursor.execute(statement)
            if rows := [row[0] for row in cursor.fetchall()]:
                broken[rule] = rows
    return broken


def stored(path: Path) -> Blob:
    return store_file(path)


def content_of(blob: Blob) -> bytes:
    with blob_storage().open_blob(blob.storage_key) as file:
        return file.read()


def registered(name: str) -> Node:
    """A node of this process with one slot."""
    node = Node(name=name, slots=1)
    node.row = node.register()
    return node


def pending_without_report(owner: User, **wishes: str) -> tuple[RenderJob, File]:
    """A submitted job whose scene nobody has read yet, and the scene."""
    file = put(owner, "/proj/unread.blend", b"BLENDER unread")
    return submit_job(job=draft(owner, file, **wishes)), file


def break_row(row: Model) -> None:
    """From now on every change of the row fails, as by a defect. In a test that is rolled back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''broken''; END'"
        )
        cursor.execute(
            f"CREATE TRIGGER broken BEFORE UPDATE ON {row._meta.db_table} FOR EACH ROW"
            f" WHEN (OLD.id = '{row.pk}') EXECUTE FUNCTION broken()"
        )


def another_node(name: str = "node-2", **fields: Any) -> RenderNode:
    """A node that is alive, with Blender 5.0.1 unless `fields` say otherwise."""
    facts = {"host": "localhost", "engines": {"blender": ["5.0.1"]}, "heartbeat_at": timezone.now(), **fields}
    return RenderNode.objects.create(name=name, **facts)


def needs(job: RenderJob, **fields: Any) -> RenderJob:
    """The job, with these columns written into its row."""
    RenderJob.objects.filter(pk=job.pk).update(**fields)
    return job


def nothing_for(node: RenderNode) -> bool:
    return claims.claim(node=node, engine="blender") is None
