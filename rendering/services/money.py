"""The money of a job: held at submit, charged while it renders and at its end; a job that outgrows it waits for more.

All of it with the job's row locked and read since its last change; then come hold and wallet.
"""

import logging
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from accounts.models import Notification, Team, User
from accounts.permissions import Action, may
from accounts.services.notifications import notify
from billing.errors import InsufficientBalance, SpendingLimitReached, SpendingNotAllowed, WalletParked
from billing.models import Bill, Hold, PriceRule
from billing.services.bills import Charge, due_for
from billing.services.holds import capture_hold, extend_hold, place_hold, settle_hold
from billing.services.ledger import FEN, SMALLEST, ZERO, up_to_fen, wallet_of
from common.ids import new_id
from rendering.models import Attempt, RenderJob
from rendering.services import news
from rendering.services.chunks import chunk_of
from rendering.services.frames import stop_strays
from rendering.services.usage import (
    Use,
    expectation_of,
    is_metered,
    running_hours,
    uncharged_failures,
    use_of,
)

logger = logging.getLogger(__name__)
NO_MONEY = (InsufficientBalance, SpendingLimitReached, SpendingNotAllowed, WalletParked)


def payer_of(job: RenderJob) -> User | Team:
    """Who pays: the team in whose drive the scene lies, else who submitted the job."""
    return job.team or job.user


def require_spending(user: User, payer: User | Team) -> None:
    """Raises SpendingNotAllowed where the payer is a team whose money `user` may not spend."""
    if isinstance(payer, Team) and not may(user, Action.SPEND_MONEY, payer):
        raise SpendingNotAllowed


def open_hold(job: RenderJob) -> Hold | None:
    """The job's hold, if it is open."""
    return Hold.objects.filter(pk=job.hold_id, status=Hold.Status.OPEN).first() if job.hold_id else None


# --- What it costs ----------------------------------------------------------------------------------------


def charges_for(job: RenderJob, use: Use) -> list[Charge]:
    """The lines of a bill for `use`."""
    price = job.unit_price or ZERO
    found = [Charge(_("Render %(name)s") % {"name": job.task_name}, use.rendered, price)]
    if use.failed:
        share = (price * settings.RENDER_FAILED_SHARE).quantize(SMALLEST)
        found.append(Charge(_("Failed by a fault of the scene"), use.failed, share))
    return found


def used_cost(job: RenderJob) -> Decimal:
    """What was used and not settled yet, exact."""
    return sum((charge.amount for charge in charges_for(job, use_of(job))), ZERO)


def expected_cost(job: RenderJob, frames: int) -> Decimal:
    """What `frames` further frames are expected to cost, exact."""
    price = job.unit_price or ZERO
    return frames * (price * expectation_of(job, job.price_unit).hours if is_metered(job) else price)


def left_of(job: RenderJob) -> int:
    return job.total_frames - job.done_frames - job.failed_frames


def cost_in_all(job: RenderJob) -> Decimal:
    """What an open hold is for: what was used since the last settlement, and what the rest will cost."""
    return used_cost(job) + expected_cost(job, left_of(job))


# --- Held -------------------------------------------------------------------------------------------------


def cover(job: RenderJob) -> None:
    """Hold what the job may still be charged, as far as it does not hold it already.

    What had failed before an earlier settlement is held no more, and counts anew once it is retried. Raises
    InsufficientBalance, WalletParked, SpendingNotAllowed, SpendingLimitReached.
    """
    if job.unit_price is None:  # never submitted
        return
    hold = open_hold(job)
    missing = up_to_fen(cost_in_all(job)) - (hold.amount if hold else ZERO)
    if hold and missing > 0:
        extend(job, hold, missing)
    elif not hold:
        payer = payer_of(job)
        job.hold = None
        if missing > 0:
            require_spending(job.user, payer)
            job.hold = place_hold(
                wallet=wallet_of(payer),
                amount=missing,
                key=f"job:{new_id()}",
                task_id=job.pk,
                description=holding(job),
                spender=job.user,
                engine=job.engine,
            )
        RenderJob.objects.filter(pk=job.pk).update(hold=job.hold)


def holding(job: RenderJob) -> str:
    count = left_of(job)
    text = ngettext("Render %(name)s: %(count)s frame", "Render %(name)s: %(count)s frames", count)
    return text % {"name": job.task_name, "count": count}


def extend(job: RenderJob, hold: Hold, amount: Decimal) -> None:
    require_spending(job.user, payer_of(job))
    extend_hold(hold=hold, amount=amount, key=f"job:{new_id()}", description=holding(job))


def stretch(job: RenderJob, hold: Hold, target: Decimal) -> Hold:
    """Extend an open hold to `target`, or as far as there is money: the hold as it is then."""
    amount = up_to_fen(target) - hold.amount
    while amount > 0:
        try:
            with transaction.atomic():
                extend(job, hold, amount)
            break
        except NO_MONEY as error:
            there = Decimal(str(error.data.get("left", error.data.get("available", 0))))
            amount = min(amount - FEN, there.quantize(FEN, ROUND_DOWN))
    hold.refresh_from_db(fields=["amount", "captured"])
    return hold


# --- Charged ----------------------------------------------------------------------------------------------


def settle(job: RenderJob) -> None:
    """Charge what was used since the last settlement, release the rest.

    Lost runs and the farm's faults are never charged, failed frames as RENDER_FAILED_SHARE says. A job that goes on
    after it was over has a new hold, and gets a further bill for what it renders then.
    """
    if job.unit_price is None:  # never submitted
        return
    use, hold = use_of(job), open_hold(job)
    captured = hold.captured if hold else ZERO
    bill = settle_use(job, hold, use) if hold else None
    cost = bill.amount if bill else ZERO
    if use.failed:
        uncharged_failures(job).update(is_failure_charged=True)
    RenderJob.objects.filter(pk=job.pk).update(
        actual_cost=Coalesce(F("actual_cost"), ZERO) + cost - captured,
        charged_frames=F("done_frames"),
        charged_hours=F("charged_hours") + (use.rendered if is_metered(job) else 0),
        capture_due_at=None,
    )
    job.refresh_from_db(fields=["actual_cost", "charged_frames", "charged_hours", "capture_due_at"])
    if bill:
        if is_metered(job):
            text, count = _("Charged %(amount)s CNY for %(count)s hours."), use.rendered.normalize()
        else:
            count = use.rendered
            text = ngettext(
                "Charged %(amount)s CNY for %(count)s frame.",
                "Charged %(amount)s CNY for %(count)s frames.",
                int(count),
            )
        news.log(job, text % {"amount": cost, "count": f"{count:f}"})


def settle_use(job: RenderJob, hold: Hold, use: Use) -> Bill | None:
    """The bill for `use`. What neither the hold nor the wallet has is not charged; the bill says how much that was."""
    charges = charges_for(job, use)
    exact = sum((charge.amount for charge in charges), ZERO)
    due = due_for(charges)
    if due > hold.amount:
        hold = stretch(job, hold, due)
    if due > hold.amount:
        charges.append(Charge(_("Beyond the balance, not charged"), Decimal(-1), exact - hold.amount))
    description = _("Render %(name)s") % {"name": job.task_name}
    return settle_hold(hold=hold, charges=charges, description=description)


def capture_due(*, now: object = None) -> int:
    """Charge jobs that go on for what they have rendered since they were last charged; how many were."""
    due = RenderJob.objects.filter(capture_due_at__lte=now or timezone.now()).order_by("capture_due_at", "pk")
    charged = 0
    for pk in due.values_list("pk", flat=True)[:500]:
        try:
            with transaction.atomic():
                charged += capture(RenderJob.objects.select_for_update(no_key=True).get(pk=pk))
        except Exception:  # one broken job must not keep the others
            logger.exception("task %s was not charged", pk)
    return charged


def capture(job: RenderJob) -> bool:
    """Take from the open hold what was used; whether anything was. At most the hold's amount."""
    hold = open_hold(job)
    entry = None
    if hold is not None:
        # What failed is charged at the end: it may be retried.
        rendered = replace(use_of(job), failed=ZERO)
        total = max(min(due_for(charges_for(job, rendered)), hold.amount), hold.captured)
        description = _("Render %(name)s") % {"name": job.task_name}
        entry = capture_hold(hold=hold, total=total, description=description)
    taken = -entry.amount if entry else ZERO
    RenderJob.objects.filter(pk=job.pk).update(
        actual_cost=Coalesce(F("actual_cost"), ZERO) + taken, capture_due_at=None
    )
    return entry is not None


# --- More than was held -----------------------------------------------------------------------------------


def is_covered(job: RenderJob) -> bool:
    """Whether the hold has what the job used and what runs of it; it is extended where it must and can be.

    Only jobs that are paid by the hour can outgrow their hold.
    """
    hold = open_hold(job) if is_metered(job) else None
    if hold is None:
        return True
    needed = used_cost(job) + (job.unit_price or ZERO) * running_hours(job)
    if needed > hold.amount:
        hold = stretch(job, hold, max(needed, cost_in_all(job)))
    return needed <= hold.amount


def pause_if_uncovered(job: RenderJob) -> bool:
    """Pause a job that is under way and outgrew its hold and the balance; whether it was. What runs ends, unpaid."""
    if job.status not in RenderJob.CLAIMABLE_STATUSES or is_covered(job):
        return False
    job.move_to(RenderJob.Status.PAUSED, pause_reason=RenderJob.PauseReason.BALANCE)
    news.log(job, _("The balance is used up; the task goes on when there is more."))
    news.tell_status(job)
    notify(
        user=job.user,
        title=gettext_noop("%(task)s waits for money"),
        message=gettext_noop("The balance is used up. The task goes on by itself after a recharge."),
        level=Notification.Level.WARNING,
        params={"task": job.task_name},
        action_url=f"/tasks/{job.pk}",
    )
    transaction.on_commit(lambda: stop_strays(job), robust=True)
    return True


def pause_uncovered() -> None:
    """Ask it of the jobs that are paid by the hour and run at this moment: no more than the farm has slots."""
    running = Attempt.objects.filter(job=OuterRef("pk"), status=Attempt.Status.RUNNING)
    metered = RenderJob.objects.filter(
        Exists(running), status__in=RenderJob.CLAIMABLE_STATUSES, price_unit__in=PriceRule.METERED
    )
    for pk in metered.order_by("pk").values_list("pk", flat=True):
        try:
            with transaction.atomic():
                pause_if_uncovered(RenderJob.objects.select_for_update(no_key=True).get(pk=pk))
        except Exception:  # it must not keep the others, which would render without money
            logger.exception("task %s was not held to its money", pk)


def require_more(job: RenderJob) -> None:
    """Hold more for a job that waits for money: all that it is expected to cost, else enough for its next run.

    Raises InsufficientBalance.
    """
    hold = open_hold(job)
    if hold is None:
        return
    used = used_cost(job)
    least = used + expected_cost(job, min(left_of(job), chunk_of(job)))
    hold = stretch(job, hold, cost_in_all(job))
    if hold.amount < least:
        missing = up_to_fen(least) - hold.amount
        raise InsufficientBalance(
            required=float(missing), available=float(wallet_of(payer_of(job)).available)
        )
