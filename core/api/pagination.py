"""Lists in numbered pages."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from ninja import Field, Schema

MAX_PAGE = 10_000_000  # keeps offsets within what a database can count to


class PageIn(Schema):
    page: int = Field(1, ge=1, le=MAX_PAGE, description="From 1.")
    page_size: int = Field(20, ge=1, le=100)


class PageOut(Schema):
    """A page of a list.  ``total`` counts all pages' items."""

    total: int
    page: int
    page_size: int


def page_of(rows: QuerySet[Any], wanted: PageIn) -> dict[str, Any]:
    """One page of ``rows`` and the numbers around it, in two statements."""
    start = (wanted.page - 1) * wanted.page_size
    return {
        "items": list(rows[start : start + wanted.page_size]),
        "total": rows.count(),
        "page": wanted.page,
        "page_size": wanted.page_size,
    }
