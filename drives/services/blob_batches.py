"""Many small contents at once: stored like single ones, in a handful of statements."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from django.utils import timezone

from drives.models import Blob
from drives.services.blobs import Digests
from drives.storage import blob_storage

AT_ONCE = 8


def store_all(*, staged: Sequence[tuple[str, Digests]]) -> list[Blob | OSError]:
    """The blobs of staged contents (id and digests), in the order given; each content is stored once.

    Where the storage fails for one, its error stands in its place and its bytes stay staged.
    """
    wanted = {digests.sha256 for _staging_id, digests in staged}
    same = Blob.objects.filter(sha256__in=wanted)
    # Marked as in use, so that the sweep leaves them alone.
    same.update(unreferenced_at=None, updated_at=timezone.now())
    known = list(same)
    found: dict[str, Blob | OSError] = {str(blob.sha256): blob for blob in known}
    add_md5([blob for blob in known if not blob.md5], staged)
    fresh = {digests.sha256: item for item in reversed(staged) if (digests := item[1]).sha256 not in found}
    made: list[Blob] = []
    kept = keep_all([staging_id for staging_id, _digests in fresh.values()])
    for (sha256, (_staging_id, digests)), key in zip(fresh.items(), kept, strict=True):
        if isinstance(key, OSError):
            found[sha256] = key
        else:
            found[sha256] = blob = new_blob(digests, key)
            made.append(blob)
    for staging_id, digests in staged:
        if isinstance(found[digests.sha256], Blob):
            blob_storage().discard(staging_id)
    if made:
        Blob.objects.bulk_create(made, ignore_conflicts=True)
        for blob in Blob.objects.filter(sha256__in=[blob.sha256 for blob in made]):
            ours = found[str(blob.sha256)]
            if isinstance(ours, Blob) and ours.pk != blob.pk:
                # Somebody stored the same content in between; theirs stays.
                blob_storage().delete(ours.storage_key)
            found[str(blob.sha256)] = blob
    return [found[digests.sha256] for _staging_id, digests in staged]


def keep_all(staging_ids: list[str]) -> list[str | OSError]:
    """Keys of staged bytes, kept side by side: each waits for the disk, or for a bucket, most of the time."""

    def keep(staging_id: str) -> str | OSError:
        try:
            return blob_storage().keep(staging_id)
        except OSError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(keep, staging_ids))


def add_md5(blobs: list[Blob], staged: Sequence[tuple[str, Digests]]) -> None:
    """Contents that came in parts may have no MD5 yet; here it is known."""
    md5_of = {digests.sha256: digests.md5 for _staging_id, digests in staged}
    for blob in blobs:
        blob.md5 = md5_of[str(blob.sha256)]
    Blob.objects.bulk_update(blobs, ["md5"])


def new_blob(digests: Digests, key: str) -> Blob:
    return Blob(
        size=digests.size,
        sha256=digests.sha256,
        md5=digests.md5,
        crc32=digests.crc32,
        storage_key=key,
        verified_at=timezone.now(),
    )
