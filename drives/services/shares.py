"""Links for strangers: made and withdrawn by whoever may share, opened by whoever has them."""

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.core import signing
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from common import limits
from common.errors import Invalid, NotVisible
from common.ids import digest
from drives.errors import (
    ShareExhausted,
    ShareExpired,
    SharePasswordRequired,
    SharePasswordWrong,
    ShareRevoked,
)
from drives.models import Archive, File, Folder, ShareLink
from drives.paths import clean_path
from drives.permissions import Right, require
from drives.services.archives import keep_archive, zip_of
from drives.services.moving import Entry
from drives.services.operations import Action, record
from drives.services.places import folder_at, is_living
from drives.zips import Zip

KEY_SECONDS = 3600
"""How long a password that was given once opens a link."""
SALT = "drives.share-key"


def create_share(
    *,
    entry: Entry,
    actor: User,
    password: str = "",
    expires_at: datetime | None = None,
    max_downloads: int | None = None,
) -> tuple[ShareLink, str]:
    """A link to a file or folder, and its token, which is known to nobody afterwards. Raises Forbidden, NotVisible."""
    require(actor, Right.SHARE, entry.drive)
    token = secrets.token_urlsafe(24)
    share = ShareLink.objects.create(
        drive=entry.drive,
        file=entry if isinstance(entry, File) else None,
        folder=entry if isinstance(entry, Folder) else None,
        creator=actor,
        token_hash=digest(token),
        password=make_password(password) if password else "",
        expires_at=expires_at,
        max_downloads=max_downloads,
    )
    return share, token


def change_share(*, share: ShareLink, actor: User, **changes: Any) -> ShareLink:
    """Another `password` (empty: none), `expires_at` or `max_downloads` (None: no end) of a link; its address stays.

    Whoever gave the old password gives the new one. Raises Forbidden, NotVisible, ShareRevoked; Invalid for fewer
    downloads than were made already.
    """
    require(actor, Right.SHARE, share.drive)
    if "password" in changes:
        changes["password"] = make_password(changes["password"]) if changes["password"] else ""
    with transaction.atomic():
        held = ShareLink.objects.select_for_update(of=("self",)).get(pk=share.pk)
        if held.revoked_at:
            raise ShareRevoked
        most = changes.get("max_downloads")
        if most is not None and most < held.download_count:
            raise Invalid(_("More downloads than that were made already."), field="max_downloads")
        ShareLink.objects.filter(pk=share.pk).update(**changes, updated_at=timezone.now())
    share.refresh_from_db(fields=["password", "expires_at", "max_downloads", "download_count"])
    return share


def revoke_share(*, share: ShareLink, actor: User) -> None:
    """Withdraw a link, with what it gave out. Twice does no harm. Raises Forbidden, NotVisible."""
    require(actor, Right.SHARE, share.drive)
    ShareLink.objects.filter(pk=share.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())


def find_share(*, token: str, now: datetime) -> ShareLink:
    """The open link of a token. Raises NotVisible, ShareRevoked, ShareExpired, ShareExhausted."""
    share = known_share(token_hash=digest(token))
    require_open(share, now)
    require_there(share)
    return share


def known_share(**which: Any) -> ShareLink:
    """With what it shares; also one that is over. Raises NotVisible."""
    rows = ShareLink.objects.select_related("drive", "file__folder", "file__blob", "folder")
    share: ShareLink | None = rows.filter(**which, drive__is_active=True).first()
    if share is None:
        raise NotVisible
    return share


def require_there(share: ShareLink) -> None:
    """What was moved into another drive is no longer for its managers to share. Raises NotVisible."""
    entry = shared_entry(share)
    if entry.drive_id != share.drive_id or not is_living(entry):
        raise NotVisible


def require_open(share: ShareLink, now: datetime) -> None:
    """Raises ShareRevoked, ShareExpired, ShareExhausted."""
    require_unended(share, now)
    if share.downloads_left == 0:
        raise ShareExhausted


def require_unended(share: ShareLink, now: datetime) -> None:
    """Raises ShareRevoked, ShareExpired."""
    if share.revoked_at:
        raise ShareRevoked
    if share.expires_at and share.expires_at <= now:
        raise ShareExpired


def require_given(*, share_id: UUID, now: datetime, entry_ids: Collection[UUID] = ()) -> None:
    """Addresses of contents that a share gave out are good as long as it is, however many downloads it has left.

    Those of files and folders (`entry_ids`), whose content may be another one by now, as long as these are in the
    share. Raises ShareRevoked, ShareExpired, NotVisible.
    """
    share = known_share(pk=share_id)
    require_unended(share, now)
    for entry_id in entry_ids:
        require_there(share)
        entry_in(share, entry_id)


def shared_entry(share: ShareLink) -> Entry:
    """What is shared; the caller joins it."""
    entry = share.file or share.folder
    assert entry is not None  # noqa: S101  (a constraint)
    return entry


def unlock(*, share: ShareLink, password: str, ip: str) -> str:
    """A key that opens the link for KEY_SECONDS. Raises SharePasswordWrong; RateLimited for an address that guesses.

    Wrong ones count for the address at this link, and for the address at all of them; so nobody can lock out others.
    """
    rules = (
        ("share-password", f"{share.pk.hex} {limits.counted_as(ip)}", settings.SHARE_PASSWORD_LIMITS["link"]),
        ("share-address", ip, settings.SHARE_PASSWORD_LIMITS["address"]),
    )
    limits.take(*rules)
    if share.has_password and not check_password(password, share.password):
        raise SharePasswordWrong
    limits.give_back(*rules)
    return signing.TimestampSigner(salt=SALT).sign(lock_of(share))


def lock_of(share: ShareLink) -> str:
    """What a key is for: this link with this password."""
    return digest(f"{share.pk.hex} {share.password}")


def require_key(share: ShareLink, key: str) -> None:
    """Raises SharePasswordRequired where the link has a password and `key` is none that it gave."""
    if not share.has_password:
        return
    try:
        given = signing.TimestampSigner(salt=SALT).unsign(key, max_age=KEY_SECONDS)
    except signing.BadSignature as error:
        raise SharePasswordRequired from error
    if given != lock_of(share):
        raise SharePasswordRequired


def shared_folder(share: ShareLink, path: str) -> Folder:
    """The folder at `path` inside the shared one, `/` being itself. Raises NotVisible (also for a file), BadName."""
    if share.folder is None:
        raise NotVisible
    below = clean_path(path)
    if below == "/":
        return share.folder
    folder = folder_at(share.drive, share.folder.path + below)
    if folder is None:
        raise NotVisible
    return folder


def entry_in(share: ShareLink, entry_id: UUID | None) -> Entry:
    """A living file or folder of the share by id, what is shared itself for none. Raises NotVisible."""
    top = shared_entry(share)
    if entry_id in (None, top.pk):
        return top
    if not isinstance(top, Folder):
        raise NotVisible
    files = File.objects.living().select_related("folder", "blob").filter(drive=share.drive, pk=entry_id)
    found: Entry | None = files.first()
    if found is None:
        found = Folder.objects.living().filter(drive=share.drive, pk=entry_id).first()
    if found is None:
        raise NotVisible
    path = found.path if isinstance(found, Folder) else f"{found.folder_path.rstrip('/')}/"
    if not path.startswith(f"{top.path}/"):
        raise NotVisible
    return found


def count_file(*, share: ShareLink, file: File, now: datetime) -> None:
    """One download of a file by a stranger. Raises ShareRevoked, ShareExpired, ShareExhausted; nothing counts then."""
    with transaction.atomic():
        take_download(share, now)
        record(Action.DOWNLOAD, file, actor=None)


def order_folder(*, share: ShareLink, folder: Folder, seconds: int, now: datetime) -> tuple[Archive, Zip]:
    """One download of a folder by a stranger, as a ZIP for `seconds`.

    Raises ShareRevoked, ShareExpired, ShareExhausted, NotVisible, NotVerifiedYet, TooManyItems; nothing counts then.
    """
    found = zip_of([folder.pk])  # before the row is held
    with transaction.atomic():
        take_download(share, now)
        archive = keep_archive(found=found, entries=[folder], actor=None, seconds=seconds, share=share)
    return archive, found


def take_download(share: ShareLink, now: datetime) -> None:
    """Count a download where one is left, in one statement: of two who want the last, one gets it."""
    taken = ShareLink.objects.open(now).filter(pk=share.pk).update(download_count=F("download_count") + 1)
    if not taken:
        share.refresh_from_db()
        require_open(share, now)
        raise NotVisible
