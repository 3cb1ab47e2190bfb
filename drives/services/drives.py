"""Drives and their quota."""

from collections.abc import Collection, Iterable
from string import ascii_uppercase
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Team, User
from accounts.permissions import Action as TeamAction
from accounts.permissions import require as require_in_team
from billing.models import MembershipPlan
from billing.services.plans import plan_of
from common.compiled import Compiled
from common.errors import Forbidden, Invalid, NotVisible
from common.ids import new_id
from drives.errors import LetterTaken, QuotaExceeded, TooManyDrives
from drives.models import Drive
from drives.permissions import Right, require

MAX_DRIVES = 20
LETTERS = ascii_uppercase[3:]
HELD = Compiled(lambda drive: Drive.objects.filter(pk=drive), drive=new_id())


def lock_owners(drives: Collection[Drive]) -> None:
    """What concerns all drives of a person or a team happens one at a time. Rows that point to them need not wait.

    Locks have one order: teams, people, drives, each by their keys. So it is owners first, also for who changes their
    level and then the drives.
    """
    teams = {drive.team_id for drive in drives if drive.team_id}
    people = {drive.user_id for drive in drives if drive.user_id}
    for model, ids in ((Team, teams), (User, people)):
        rows: Any = model.objects
        for pk in sorted(ids):
            rows.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()


def meant_of(user: Any) -> QuerySet[Drive]:
    """The drives of a user, the one first that is meant where none is named."""
    return Drive.objects.filter(user=user, is_active=True).order_by("-is_default", "created_at", "pk")


def default_drive(*, user: User) -> Drive:
    """The drive that the user chose, else their oldest, created where there is none.

    The user row is the lock: two callers get one drive.
    """
    meant = meant_of(user)
    if drive := meant.first():
        return drive
    with transaction.atomic():
        lock_owners([Drive(user=user)])
        return meant.first() or Drive.objects.create(
            user=user,
            name=_("Default drive"),
            icon="📁",
            total_size=plan_size(user),
            letter=free_letter(user),
        )


def free_letter(user: User) -> str:
    """The first letter from D on that no drive of the user has; empty when all are taken."""
    taken = set(Drive.objects.filter(user=user, is_active=True).values_list("letter", flat=True))
    return next((letter for letter in LETTERS if letter not in taken), "")


def plan_size(user: User) -> int | None:
    """What the plan of the user has now. Call under `lock_owners`: who changes their level then fits what is there."""
    return plan_of(User.objects.get(pk=user.pk)).storage_size


def checked_quota(total_size: int | None, owner: User | Team) -> int | None:
    """The quota that the owner may give a drive: at most what their plan has, of a team the default size.

    Call under `lock_owners`.
    """
    most = settings.DEFAULT_DRIVE_SIZE if isinstance(owner, Team) else plan_size(owner)
    if total_size is None:
        return most
    if most is not None and total_size > most:
        raise Invalid(_("A drive may not be larger than your plan allows."), field="total_size")
    return total_size


def create_drive(
    *, user: User, team_id: UUID | None = None, total_size: int | None = None, **fields: Any
) -> Drive:
    """A further drive of the user, or of a team where the user may manage drives.

    Raises NotVisible (no member of the team), Forbidden, TooManyDrives, Invalid.
    """
    team = Team.objects.visible_to(user).filter(pk=team_id).first() if team_id else None
    if team_id and team is None:
        raise NotVisible
    if team:
        require_in_team(user, TeamAction.MANAGE_DRIVES, team)
    owner: dict[str, Any] = {"team": team} if team else {"user": user}
    with transaction.atomic():
        lock_owners([Drive(**owner)])
        if Drive.objects.filter(is_active=True, **owner).count() >= MAX_DRIVES:
            raise TooManyDrives(limit=MAX_DRIVES)
        if not team:
            fields["letter"] = checked_letter(user, fields.get("letter", "")) or free_letter(user)
        return Drive.objects.create(total_size=checked_quota(total_size, team or user), **owner, **fields)


def checked_letter(user: User, letter: str, drive: Drive | None = None) -> str:
    """The letter, if no other drive of the user has it. Raises LetterTaken."""
    others = Drive.objects.filter(user=user, is_active=True, letter=letter)
    if letter and any(other != drive for other in others):
        raise LetterTaken
    return letter


def update_drive(*, drive: Drive, actor: User, **fields: Any) -> Drive:
    """Change name, icon, description, quota or letter.

    `is_default` makes it, or no longer, the one that is meant where its owner names none, who alone may say so.
    Raises Forbidden, Invalid, LetterTaken, NotVisible.
    """
    require(actor, Right.MANAGE, drive)
    if fields.get("is_default", drive.is_default) == drive.is_default:
        fields.pop("is_default", None)  # whoever sends back what they read says nothing
    elif drive.user_id != actor.pk:
        raise Forbidden
    with transaction.atomic():
        lock_owners([drive])
        if "total_size" in fields:
            fields["total_size"] = checked_quota(fields["total_size"], drive.owner)
        if drive.user and "letter" in fields:
            checked_letter(drive.user, fields["letter"], drive)
        if fields.get("is_default"):
            chosen = Drive.objects.filter(user=drive.user_id, is_default=True)
            both = (chosen | Drive.objects.filter(pk=drive.pk)).order_by("pk")
            list(both.select_for_update(of=("self",), no_key=True).values_list("pk"))
            chosen.update(is_default=False)
        living = Drive.objects.filter(pk=drive.pk, is_active=True)
        if not living.update(**fields, updated_at=timezone.now()):
            raise NotVisible  # somebody has deleted it meanwhile
    drive.refresh_from_db()
    return drive


def fit_drives(users: QuerySet[User], *, former: Iterable[int | None] = ()) -> None:
    """Drives of these users that have the size of a plan, or of `former` plans, get that of the plan that counts now.

    A size that an owner or an operator chose stays.
    """
    storage = dict(MembershipPlan.objects.values_list("level", "storage_size"))
    sizes = {*storage.values(), *former} - {None}
    for level, size in storage.items():
        drives = Drive.objects.filter(user__in=users.filter(member_level=level), is_active=True)
        fitted = drives.filter(total_size__in=sizes).order_by("pk")
        with transaction.atomic():
            held = list(fitted.select_for_update(of=("self",), no_key=True).values_list("pk", flat=True))
            # Asked once more now that they are held: whoever has got another level meanwhile has fitted theirs.
            still = Drive.objects.filter(pk__in=held, user__member_level=level)
            still.update(total_size=size, updated_at=timezone.now())


def delete_drive(*, drive: Drive, actor: User) -> None:
    """Take a drive out of use; its content is deleted later, so that a mistake can be mended by an operator.

    Raises Forbidden.
    """
    require(actor, Right.DELETE, drive)
    Drive.objects.filter(pk=drive.pk).update(is_active=False, is_default=False, updated_at=timezone.now())


def restore_drive(*, drive: Drive) -> None:
    """Take a deleted drive into use again; under another letter where its own was given away meanwhile."""
    with transaction.atomic():
        lock_owners([drive])
        letter = drive.letter
        if drive.user and letter:
            taken = Drive.objects.filter(user=drive.user, is_active=True, letter=letter).exclude(pk=drive.pk)
            letter = free_letter(drive.user) if taken.exists() else letter
        Drive.objects.filter(pk=drive.pk).update(is_active=True, letter=letter, updated_at=timezone.now())


def reserve(*, drive: Drive, size: int) -> None:
    """Set `size` bytes aside for an upload, by one conditional UPDATE. Raises QuotaExceeded.

    Where OWNER_STORAGE_LIMIT is set, all drives of the owner together must have room, too: call it in a transaction.
    """
    if settings.OWNER_STORAGE_LIMIT is not None:
        require_room_of_owner(drive, size, settings.OWNER_STORAGE_LIMIT)
    fits = Q(total_size__isnull=True) | Q(total_size__gte=F("used_size") + F("reserved_size") + size)
    if not Drive.objects.filter(fits, pk=drive.pk).update(reserved_size=F("reserved_size") + size):
        drive.refresh_from_db()
        raise QuotaExceeded(required=size, available=drive.available_size, scope="drive")


def require_room_of_owner(drive: Drive, size: int, limit: int) -> None:
    """Raises QuotaExceeded. Drives that were deleted count as long as they hold anything."""
    lock_owners([drive])
    sums = Drive.objects.of_owner(drive).aggregate(total=Sum(F("used_size") + F("reserved_size"), default=0))
    if sums["total"] + size > limit:
        raise QuotaExceeded(required=size, available=max(limit - sums["total"], 0), scope="owner")


def require_room(*, drive: Drive, size: int) -> None:
    """Raises QuotaExceeded where `size` more bytes do not fit at once. The caller holds the drive (`lock_tree`).

    What shrinks always fits.
    """
    if size <= 0:
        return
    if settings.OWNER_STORAGE_LIMIT is not None:
        require_room_of_owner(drive, size, settings.OWNER_STORAGE_LIMIT)
    available = HELD.rows(drive=drive.pk)[0].available_size
    if available is not None and available < size:
        raise QuotaExceeded(required=size, available=available, scope="drive")


def release(*, drive_id: Any, size: int) -> None:
    """Give back what `reserve` set aside."""
    if size:
        Drive.objects.filter(pk=drive_id).update(reserved_size=F("reserved_size") - size)
