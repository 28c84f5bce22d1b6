"""Lists in numbered pages."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from ninja import Field, Schema

MAX_PAGE = 10_000_000  # keeps offsets within the range of a database integer


class PageIn(Schema):
    page: int = Field(1, ge=1, le=MAX_PAGE, description="Starts at 1.")
    page_size: int = Field(20, ge=1, le=100)


class PageOut(Schema):
    """A page of a list.  ``total`` counts the items of all pages."""

    total: int
    page: int
    page_size: int


def page_of(rows: QuerySet[Any], paging: PageIn) -> dict[str, Any]:
    """Return one page of ``rows`` with its total, in two statements."""
    start = (paging.page - 1) * paging.page_size
    return {
        "items": list(rows[start : start + paging.page_size]),
        "total": rows.count(),
        "page": paging.page,
        "page_size": paging.page_size,
    }
