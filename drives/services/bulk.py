"""One operation on a selection: each item succeeds or fails by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from accounts.models import User
from common.errors import DomainError, NotVisible
from drives.models import File, Folder
from drives.services.moving import Entry


@dataclass(frozen=True)
class ItemResult:
    """The outcome for one item: `entry` is the row afterwards, `error` the reason why nothing happened to it."""

    id: UUID
    entry: Entry | None = None
    error: DomainError | None = None


def for_each(*, ids: list[UUID], actor: User, act: Callable[[Entry], Entry | None]) -> list[ItemResult]:
    """Do `act` to each file or folder that `actor` may see, also in the trash, in the order given."""
    entries = visible_entries(ids, actor)
    results = []
    for item_id in ids:
        try:
            if item_id not in entries:
                raise NotVisible
            results.append(ItemResult(item_id, act(entries[item_id])))
        except DomainError as error:
            results.append(ItemResult(item_id, error=error))
    return results


def visible_entries(ids: list[UUID], actor: User) -> dict[UUID, Entry]:
    """Files and folders of drives that `actor` may read, living or in the trash, by id; two statements."""
    files = File.objects.in_reach_of(actor).select_related("drive", "folder", "blob").in_bulk(ids)
    folders = Folder.objects.in_reach_of(actor).select_related("drive").in_bulk(ids)
    return {**files, **folders}
