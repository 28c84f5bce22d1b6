"""Writing many rows at the cost of one small statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Case, Field, Model, Value, When
from django.db.models.functions import Cast


def columns(rows: Sequence[Model], *fields: str) -> dict[str, Any]:
    """The arguments for ``QuerySet.update`` that write ``fields`` of each of ``rows``.

    ``bulk_update`` chooses every field row by row, and to build such a choice costs more than to carry it out.  Here a field
    that is the same in all rows is a plain value.  The caller's query set must hold these rows and no others.
    """
    return {name: _column(rows, name) for name in fields}


def _column(rows: Sequence[Model], name: str) -> Any:
    first, *others = (getattr(row, name) for row in rows)
    if all(other == first for other in others):
        return first
    field: Field[Any, Any] = rows[0]._meta.get_field(name)  # type: ignore[assignment]
    choices = (When(pk=row.pk, then=Value(getattr(row, name), output_field=field)) for row in rows)
    choice = Case(*choices, output_field=field)
    return Cast(choice, output_field=field) if connection.features.requires_casted_case_in_updates else choice
