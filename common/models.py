"""What every row has."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from django.db import connection, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from common.errors import TransitionNotAllowed
from common.ids import new_id

Model = TypeVar("Model", bound=models.Model)


class Row(models.Model):
    """A row with a time-ordered UUID and its times of creation and last change (UTC)."""

    id = models.UUIDField(_("ID"), primary_key=True, default=new_id, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True, editable=False)

    class Meta:
        abstract = True


def as_written(row: Model) -> Model:
    """The model instance of a row that SQL of ours has inserted."""
    row._state.adding, row._state.db = False, connection.alias
    return row


def copy_in(model: type[Row], columns: Sequence[str], rows: Iterable[Sequence[Any]], **same: Any) -> None:
    """Insert rows by COPY, without an object for each: tens of thousands in a fraction of the time.

    `columns` are those of `rows`, the key among them; `same` is what all rows have in common. What is in neither has
    its default. A violated constraint is an IntegrityError, as ever.
    """
    now = timezone.now()
    same = {"created_at": now, "updated_at": now, **same}
    others = [field for field in model._meta.concrete_fields if field.attname not in columns]
    rest = tuple(same.get(field.attname, field.get_default()) for field in others)
    into = ", ".join([*columns, *(field.attname for field in others)])
    statement = f"COPY {model._meta.db_table} ({into}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row((*row, *rest))


class StateRow(Row):
    """A row whose `status` only moves along `TRANSITIONS` (status → the statuses it may move to)."""

    Status: Any
    status: Any
    TRANSITIONS: dict[Any, set[Any]] = {}

    class Meta:
        abstract = True

    @classmethod
    def sources_of(cls, target: Any) -> list[Any]:
        return [source for source, targets in cls.TRANSITIONS.items() if target in targets]

    def move_to(self, target: Any, **changes: Any) -> None:
        """Move to `target`, writing `changes` with it, if the row as it stands in the database allows it.

        The old status is part of the WHERE clause, so of two racing callers one wins.
        Raises TransitionNotAllowed otherwise; nothing is changed then.
        """
        manager: Any = type(self)._default_manager  # mypy does not know the fields of the subclasses
        moved = manager.filter(pk=self.pk, status__in=self.sources_of(target)).update(
            status=target, updated_at=timezone.now(), **changes
        )
        self.refresh_from_db()
        if not moved:
            raise self.refusal()

    def refusal(self) -> TransitionNotAllowed:
        """The error that names the present status and the statuses it may move to."""
        allowed = sorted(target.name.lower() for target in self.TRANSITIONS.get(self.status, ()))
        return TransitionNotAllowed(status=self.Status(self.status).name.lower(), allowed=allowed)
