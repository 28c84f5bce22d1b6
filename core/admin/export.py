"""Any list of the admin as CSV: the rows that match its filters, the columns that it shows."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import label_for_field, lookup_field
from django.http import HttpRequest, QueryDict
from django.utils import timezone, translation
from django.utils.html import strip_tags

from core import csv_files
from core.http.streaming import ThreadedStream

PARAMETER = "export"
MAX_ROWS = 100_000
CHUNK = 500


def is_requested(request: HttpRequest) -> bool:
    return request.GET.get(PARAMETER) == "csv"


def as_csv(model_admin: ModelAdmin[Any], request: HttpRequest) -> ThreadedStream:
    """Return the list of a request, up to MAX_ROWS rows, in the reader's language and time zone."""
    query: QueryDict = request.GET.copy()
    del query[PARAMETER]
    request.GET = query  # type: ignore[assignment]
    changelist = model_admin.get_changelist_instance(request)
    rows = changelist.get_queryset(request)
    names = [name for name in changelist.list_display if name != "action_checkbox"]
    header = [str(label_for_field(name, model_admin.model, model_admin)) for name in names]
    language, zone = translation.get_language(), timezone.get_current_timezone()

    def chunks() -> Iterator[bytes]:
        """Each chunk may be made in another thread, which does not know the reader."""
        for start in range(0, MAX_ROWS, CHUNK):
            with translation.override(language), timezone.override(zone):
                part = rows[start : start + CHUNK]
                lines = [[_cell(name, row, model_admin) for name in names] for row in part]
                mark = csv_files.BYTE_ORDER_MARK
                table = csv_files.lines(itertools.chain([header] if start == 0 else [], lines))
                text = "".join(table)
                yield (text if start == 0 else text.removeprefix(mark)).encode()
            if len(lines) < CHUNK:
                return

    response = ThreadedStream(chunks(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{model_admin.opts.model_name}.csv"'
    return response


def _cell(name: Any, row: Any, model_admin: ModelAdmin[Any]) -> str:
    _field, _attribute, value = lookup_field(name, row, model_admin)
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat(timespec="seconds")
    return "" if value is None else " ".join(html.unescape(strip_tags(str(value))).split())
