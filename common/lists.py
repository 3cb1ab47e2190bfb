"""Lists of the back office over tables of millions of rows: nothing is counted whole, ordered or found by a scan."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib.admin import ShowFacets
from django.contrib.admin.utils import lookup_spawns_duplicates
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet, UUIDField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateFilter
from unfold.views import ChangeList

from common.ids import as_uuid

MOST_ROWS = 10_000
"""How many rows a list counts and pages through. Whoever looks for an older row narrows the list."""
MOST_RELATED = 200
LOOKUPS = {"=": "exact", "^": "startswith"}


def first_id_of(moment: datetime) -> UUID:
    """The smallest UUIDv7 of `moment`. Ids that were made earlier sort before it, so the primary key finds rows by
    time.
    """
    milliseconds = max(int(moment.timestamp() * 1000), 0)
    return UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62))


def since(rows: QuerySet[Any], moment: datetime) -> QuerySet[Any]:
    """Rows that were made from `moment` on."""
    return rows.filter(pk__gte=first_id_of(moment))


class BoundedPaginator(Paginator):
    """Counts to MOST_ROWS and no further: that takes a millisecond, where counting a million rows takes a second."""

    template_name = "admin/pagination_bounded.html"

    @cached_property
    def seen(self) -> int:
        rows = cast("QuerySet[Any]", self.object_list)
        return rows.order_by().values("pk")[: MOST_ROWS + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self.seen, MOST_ROWS)

    @property
    def has_more(self) -> bool:
        return self.seen > MOST_ROWS


class CreatedFilter(RangeDateFilter):
    """Rows made between two days (local time). Ids ascend with time, so the primary key serves as the index."""

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if first := self.day("from"):
            queryset = queryset.filter(pk__gte=first_id_of(start_of(first)))
        if last := self.day("to"):
            queryset = queryset.filter(pk__lt=first_id_of(start_of(last) + timedelta(days=1)))
        return queryset

    def day(self, end: str) -> date | None:
        """The first or last day that was asked for; None where it was left out or is no date."""
        try:
            return date.fromisoformat(str(self.used_parameters.get(f"{self.parameter_name}_{end}", "")))
        except ValueError:
            return None


def start_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min)).astimezone(UTC)


class BigChangeList(ChangeList):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The date hierarchy reads every row to offer years, months and days; CreatedFilter goes by the ids.
        self.date_hierarchy = None
        self.full_result_count = self.result_count  # the pagination shows how much is known of it

    def get_ordering(self, request: HttpRequest, queryset: QuerySet) -> list[Any]:
        """Order by id instead of `created_at`: ids ascend with time and have an index."""
        ordering = [
            re.sub(r"^(-?)created_at$", r"\1pk", part) if isinstance(part, str) else part
            for part in super().get_ordering(request, queryset)
        ]
        at = next((place for place, part in enumerate(ordering) if part in ("pk", "-pk")), len(ordering))
        return ordering[: at + 1]  # ids are unique: further columns decide nothing


class BigLists(ModelAdmin):
    """A list page that opens at once, however many rows there are.

    A search field in another table is searched there first, and the rows are then found by their relation to the
    hits. Any column of a user stands for all that users are found by. Own columns are matched as a whole (`=`), by
    their beginning (`^`), or anywhere, which only small tables can afford.
    """

    paginator: Any = BoundedPaginator
    show_full_result_count = False
    # The counts of a filter's choices would read every row as often as there are choices.
    show_facets = ShowFacets.NEVER
    list_per_page = 50  # most of a page's cost is the skin's drawing of its cells
    # An action over all rows of a filter would touch rows that nobody has looked at.
    list_disable_select_all = True

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BigChangeList

    def get_list_filter(self, request: HttpRequest) -> Any:
        """Adds a filter by day to every list whose rows carry their time of creation."""
        names = {field.name for field in self.model._meta.concrete_fields}
        if "created_at" not in names or not isinstance(self.model._meta.pk, UUIDField):
            return super().get_list_filter(request)
        return (*super().get_list_filter(request), ("created_at", CreatedFilter))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        term = search_term.replace("\0", "").strip()
        if not term:
            return queryset, False
        names = list(dict.fromkeys(target_of(self.model, str(name)) for name in self.search_fields))
        found = Q(pk__in=[])
        for relation, name in names:
            found |= condition_on(self.model, relation, name, term)
        has_many = any(lookup_spawns_duplicates(self.opts, relation) for relation, _name in names if relation)
        return queryset.filter(found), has_many


def target_of(model: type[Model], name: str) -> tuple[str, str]:
    """The relation that a search field follows, and the column at its end; no column where it leads to users."""
    sign = name[0] if name[0] in LOOKUPS else ""
    relation, _sep, column = name.lstrip("=^").rpartition("__")
    return relation, "" if model_at(model, relation) is get_user_model() else sign + column


def model_at(model: type[Model], relation: str) -> type[Model]:
    for part in relation.split("__") if relation else ():
        model = cast(type[Model], model._meta.get_field(part).related_model)
    return model


def condition_on(model: type[Model], relation: str, name: str, term: str) -> Q:
    """Rows that match `term` by their column, or by a related row. Where the term cannot match, nothing is added."""
    there = model_at(model, relation)
    if name:
        matching = column_like(there, name, term)
        if not relation or matching is None:
            return matching or Q()
        rows: Any = there._default_manager.filter(matching)
    else:
        rows = get_user_model().objects.matching(term)
    if not relation:
        return Q(pk__in=rows.values("pk"))
    # Evaluated here, so that the index of the relation finds the rows, not a join over the whole table.
    related = list(rows.order_by("-pk").values_list("pk", flat=True)[:MOST_RELATED])
    return Q(**{f"{relation}__in": related})


def column_like(model: type[Model], name: str, term: str) -> Q | None:
    column = name.lstrip("=^")
    field: Any = model._meta.pk if column == "pk" else model._meta.get_field(column)
    if isinstance(field, UUIDField):
        wanted = as_uuid(term)
        return Q(**{column: wanted}) if wanted else None
    if name[0] == "=":
        try:
            return Q(**{column: field.clean(term, None)})
        except ValidationError:  # no such value can be in the column
            return None
    return Q(**{f"{column}__{LOOKUPS.get(name[0], 'icontains')}": term})
