"""Lists in pages: by number, or by a cursor that sees each row once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from ninja import Field, Schema

from core.errors import FieldError, Invalid

MAX_PAGE = 10_000_000  # keeps offsets within the range of a database integer
_signer = Signer(salt="core.api.pagination")

Cursor = Annotated[str, Field(min_length=1, max_length=4000)]


# The rules of PageIn that a schema cannot express (core.api.openapi.refusals).
PAGE_RULES = {
    "cursor": "It is not the `next_cursor` of an answer of this list, in this order.",
    "page": "There is a `cursor`, too.",
}


class PageIn(Schema):
    page: int = Field(1, ge=1, le=MAX_PAGE, description="Starts at 1. Rows that come or go meanwhile shift the pages.")
    page_size: int = Field(20, ge=1, le=100)
    cursor: Cursor | None = Field(
        None, description="The `next_cursor` of the page before, in place of `page`: sees each row once."
    )


class PageOut(Schema):
    """A page of a list.  ``total`` counts the items of all pages."""

    total: int
    page: int
    page_size: int
    next_cursor: str | None = Field(
        description="Leads to the next page; null on the last, and in an order in which rows change their places."
    )


def page_of(rows: QuerySet[Any], paging: PageIn, *, stable: Collection[str]) -> dict[str, Any]:
    """Return one page of ``rows`` with its total, in two statements.

    ``rows`` are ordered by one field, then by the primary key.  Cursors work if that field is one
    of ``stable``: its values do not change while somebody reads.  Raises Invalid for a cursor of
    another list or order.
    """
    by, by_key = map(str, rows.query.order_by or rows.model._meta.ordering)
    field = by.removeprefix("-")
    total = rows.count()
    start = (paging.page - 1) * paging.page_size
    if paging.cursor is not None:
        if start:
            raise Invalid([FieldError("page", _("Give either page or cursor."))])
        rows = rows.filter(_after(rows, paging.cursor, by, by_key))
    found = list(rows[start : start + paging.page_size + 1])
    page = found[: paging.page_size]
    has_more = len(found) > len(page)
    return {
        "items": page,
        "total": total,
        "page": paging.page,
        "page_size": paging.page_size,
        "next_cursor": _cursor_at(page[-1], by) if has_more and field in stable else None,
    }


def _cursor_at(row: Any, by: str) -> str:
    value = row._meta.get_field(by.removeprefix("-")).value_to_string(row)
    return _signer.sign_object([row._meta.label_lower, by, value, row.pk])


def _after(rows: QuerySet[Any], cursor: str, by: str, by_key: str) -> Q:
    """Return the condition for the rows behind a cursor.  Raises Invalid."""
    field = by.removeprefix("-")
    try:
        label, ordered_by, text, key = _signer.unsign_object(cursor)
        value = rows.model._meta.get_field(field).to_python(text)
    except (BadSignature, ValidationError, ValueError, TypeError) as error:
        raise Invalid([FieldError("cursor", _("Not a cursor of this server. Start again without one."))]) from error
    if (label, ordered_by) != (rows.model._meta.label_lower, by):
        message = _("This cursor belongs to another list or order. Start again without one.")
        raise Invalid([FieldError("cursor", message)])
    beyond, beyond_key = ("lt" if name.startswith("-") else "gt" for name in (by, by_key))
    return Q(**{f"{field}__{beyond}": value}) | Q(**{field: value, f"pk__{beyond_key}": key})
