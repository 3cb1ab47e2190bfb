"""The nightly check of jobs against bills: the cost that a job shows is what was billed, and nothing stays held."""

from datetime import date

from django.db import connection

from billing.services.nightly import Finding, Report
from rendering.models import RenderJob

FINAL = tuple(int(status) for status in RenderJob.FINAL_STATUSES)
# Each statement sees one moment, so what ends meanwhile is no difference. A row: what differs, wallet, task, and how.
CHECKS = {
    # A job that is over cost what its bills say.
    "cost": """
        SELECT j.id, NULL::uuid, j.id, 'cost ' || coalesce(j.actual_cost, 0) || ', billed ' || coalesce(b.total, 0)
          FROM rendering_renderjob j
          LEFT JOIN (SELECT task_id, sum(amount) AS total FROM billing_bill WHERE kind = 'job' GROUP BY task_id) b
                 ON b.task_id = j.id
         WHERE j.status = ANY(%s) AND coalesce(j.actual_cost, 0) <> coalesce(b.total, 0)""",
    # Nothing is held for a job that is over or gone.
    "held": """
        SELECT h.id, h.wallet_id, h.task_id, 'held ' || (h.amount - h.captured)
          FROM billing_hold h LEFT JOIN rendering_renderjob j ON j.id = h.task_id
         WHERE h.status = 'open' AND h.purpose = 'job' AND (j.id IS NULL OR j.status = ANY(%s))""",
    # Every rendered frame of a job that is over was charged, and none twice.
    "frames": """
        SELECT j.id, NULL::uuid, j.id, 'rendered ' || j.done_frames || ', charged ' || j.charged_frames
          FROM rendering_renderjob j
         WHERE j.status = ANY(%s) AND j.unit_price IS NOT NULL AND j.charged_frames <> j.done_frames""",
}
ORPHANS = """
SELECT b.id, b.wallet_id, b.task_id, 'no task' FROM billing_bill b LEFT JOIN rendering_renderjob j ON j.id = b.task_id
 WHERE b.kind = 'job' AND j.id IS NULL
"""


def check_jobs(day: date) -> Report:
    """Checks all jobs in their present state, whatever the day: a difference is reported each night until it is put
    right.
    """
    findings = []
    with connection.cursor() as cursor:
        for check, statement in {**CHECKS, "orphan": ORPHANS}.items():
            cursor.execute(statement, [list(FINAL)] if check in CHECKS else [])
            findings += [
                Finding(check, str(subject), detail, wallet_id=wallet, task_id=task)
                for subject, wallet, task, detail in cursor.fetchall()
            ]
    return Report(RenderJob.objects.filter(status__in=FINAL).count(), findings)
