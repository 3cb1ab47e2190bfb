"""Querysets of frequent requests: built by Django once per process, planned by PostgreSQL once per connection."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet
from django.db.models.query import get_related_populators
from django.db.transaction import TransactionManagementError


def planned_cursor() -> CursorWrapper:
    """A cursor whose statements this connection plans only once (`common.postgresql`)."""
    wrapper: Any = connection
    cursor: CursorWrapper = wrapper.planned_cursor()
    return cursor


@dataclass(frozen=True)
class Statement:
    """The SQL of a queryset, the values it takes, and what turns a row into an object."""

    sql: str
    values: list[tuple[str | None, Any]]
    """Each by its name, or as a constant."""
    to_object: Callable[[Any], Any]
    locks: bool


class Compiled:
    """A query set with its values left out. To build and plan one takes ten times as long as to answer it.

        named = Compiled(lambda drive, name: File.objects.filter(drive=drive, name=name), drive=new_id(), name="name")
        named.rows(drive=drive.pk, name="a.txt")

    The examples are values of the right types that are nowhere else in the query; in their places come those of a call.
    What is None asks for NULL. Columns whose values Python has to convert (JSON) are not for this.
    """

    def __init__(self, build: Callable[..., QuerySet[Any]], **examples: Any) -> None:
        self.build, self.examples = build, examples
        self.statements: dict[frozenset[str], Statement] = {}

    def rows(self, **values: Any) -> list[Any]:
        """Model instances with everything that the queryset joins; tuples where it has `values_list`."""
        statement = self.statement(frozenset(name for name, value in values.items() if value is None))
        if statement.locks and connection.get_autocommit():
            raise TransactionManagementError("a lock is let go at the end of the transaction: there is none")
        told = [values[name] if name else value for name, value in statement.values]
        with planned_cursor() as cursor:
            cursor.execute(statement.sql, told)
            found = cursor.fetchall()
        return [statement.to_object(row) for row in found]

    def first(self, **values: Any) -> Any | None:
        return next(iter(self.rows(**values)), None)

    def statement(self, missing: frozenset[str]) -> Statement:
        found = self.statements.get(missing)
        if found is None:
            told: Mapping[str, Any] = {**self.examples, **dict.fromkeys(missing)}
            found = self.statements[missing] = compiled(self.build(**told), told)
        return found


def compiled(rows: QuerySet[Any], examples: Mapping[str, Any]) -> Statement:
    compiler = rows.query.get_compiler(rows.db)
    sql, params = compiler.as_sql()
    locks = rows.query.select_for_update
    columns, joined = compiler.select, compiler.klass_info
    if compiler.get_converters([column for column, *_rest in columns]):
        raise TypeError("a column needs to be converted")
    values = [
        (next((name for name, example in examples.items() if example == param), None), param)
        for param in params
    ]
    if joined is None or rows._fields is not None:  # type: ignore[attr-defined]
        return Statement(sql, values, tuple, locks)
    first, last = joined["select_fields"][0], joined["select_fields"][-1] + 1
    names = [column.target.attname for column, *_rest in columns[first:last]]
    populators = get_related_populators(joined, columns, rows.db)  # type: ignore[call-arg]
    model, alias = joined["model"], rows.db

    def to_object(row: Any) -> Any:
        found = model.from_db(alias, names, row[first:last])
        for populator in populators:
            populator.populate(row, found)
        return found

    return Statement(sql, values, to_object, locks)
