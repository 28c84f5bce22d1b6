"""Columns of admin lists with translated titles."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.utils.functional import Promise


def column(name: str, title: Promise) -> Callable[[Any], Any]:
    """An attribute as a column, under a name that is translated."""

    def cell(row: Any) -> Any:
        return getattr(row, name)

    cell.__name__ = name
    return admin.display(cell, description=title, ordering=name)  # type: ignore[call-overload, no-any-return]
