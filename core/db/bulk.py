"""Bulk writes that cost few statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Case, Field, Model, Value, When
from django.db.models.functions import Cast

_T = TypeVar("_T")


def batches(values: Sequence[_T], size: int) -> Iterator[tuple[_T, ...]]:
    """Split ``values`` into parts of at most ``size``, in order."""
    return (tuple(values[start : start + size]) for start in range(0, len(values), size))


def columns(rows: Sequence[Model], *fields: str) -> dict[str, Any]:
    """Return the arguments for ``QuerySet.update`` that write ``fields`` of each of ``rows``.

    ``bulk_update`` writes a CASE expression for every field, and building it costs more than
    running it. Here a field with the same value in all rows is a plain value. The caller's query
    set must hold exactly these rows.
    """
    changes: dict[str, Any] = {}
    for name in fields:
        first, *others = (getattr(row, name) for row in rows)
        if all(other == first for other in others):
            changes[name] = first
            continue
        field: Field[Any, Any] = rows[0]._meta.get_field(name)  # type: ignore[assignment]
        choices = (When(pk=row.pk, then=Value(getattr(row, name), output_field=field)) for row in rows)
        choice = Case(*choices, output_field=field)
        is_cast = connection.features.requires_casted_case_in_updates
        changes[name] = Cast(choice, output_field=field) if is_cast else choice
    return changes


class Table:
    """New rows of one model, inserted at a tenth of the cost of ``bulk_create``.

    ``varying`` columns get a value per row, in the form that the database stores (JSON as text).
    """

    def __init__(self, model: type[Model], *varying: str) -> None:
        self.model = model
        self.varying = varying
        self.rows: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        self.rows.append(values)

    def write(self, **same: Any) -> None:
        """Insert the added rows.

        Columns named in ``same`` get that value in all rows; the other columns get their defaults.
        """
        fixed = {
            column.attname: column.get_db_prep_save(same.get(column.attname, column.get_default()), connection)
            for column in self.model._meta.concrete_fields
            if column.attname not in self.varying and not column.primary_key
        }
        repeated = tuple(fixed.values())
        rows, self.rows = [row + repeated for row in self.rows], []
        names = [*self.varying, *fixed]
        quote = connection.ops.quote_name
        into = f"{quote(self.model._meta.db_table)} ({', '.join(map(quote, names))})"
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                places = ", ".join(["%s"] * len(names))
                cursor.executemany(f"INSERT INTO {into} VALUES ({places})", rows)  # noqa: S608  names of our own tables
            else:
                with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
