"""``/missions/{id}/download`` and ``results.jsonl | .csv``: all results of a mission, streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from ninja import Field, Path, Query, Router, Schema

from core.api.ids import RowId
from core.api.openapi import file_extra
from core.http.file_names import content_disposition
from core.http.ranges import Slice, ranged_response
from core.http.streaming import ThreadedStream
from missions.api.missions import visible_mission
from missions.api.schemas.items import ItemOut
from missions.models import ItemStatus, Mission, MissionItem, Output
from missions.results import sheets, tables
from missions.results.export import download_name
from missions.results.zip_archive import Bundle

router = Router(tags=["Results"])
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ResultsIn(Schema):
    versions: Annotated[
        Literal["chosen", "all"],
        Field(description="Of a result that was made again: the chosen version, or all of them."),
    ] = "chosen"


@router.get(
    "/{mission_id}/download",
    response={200: None, 206: None, 304: None, 416: None},
    summary="Download all result files as one ZIP archive",
    openapi_extra=file_extra(
        "The files by their names, and manifest.csv. Its length is known.", "application/zip", is_ranged=True
    ),
)
def download_results(request: HttpRequest, mission_id: Path[RowId], query: Query[ResultsIn]) -> HttpResponseBase:
    """Return the files that are stored now, as `{name}_results.zip`.

    `manifest.csv` has a row per file, with its SHA-256, and a row for each file that is missing and
    each item without any, with the reason. If the connection ends before Content-Length bytes
    arrived, continue with `Range` and `If-Range` (the `ETag`): you get the rest, or a new archive
    from its start if something has changed.
    """
    mission = visible_mission(request, mission_id)
    bundle = Bundle(mission, has_all_versions=query.versions == "all")
    return archive_response(request, bundle, download_name(mission, "_results.zip"))


@router.get(
    "/{mission_id}/results.jsonl",
    summary="Download all items with their results as JSON Lines",
    openapi_extra=file_extra("An object per item, in batch order.", "application/x-ndjson", is_ranged=False),
)
def download_results_jsonl(request: HttpRequest, mission_id: Path[RowId], query: Query[ResultsIn]) -> HttpResponseBase:
    """Return one item per line, as in `GET /missions/{id}/items`, without pages and without the
    envelope.
    """
    mission = visible_mission(request, mission_id)
    lines = tables.as_json_lines(mission, item_row, has_all_versions=query.versions == "all")
    response = ThreadedStream(lines, content_type="application/x-ndjson")
    return _as_attachment(response, download_name(mission, "_results.jsonl"))


@router.get(
    "/{mission_id}/results.csv",
    summary="Download all items with their results as CSV",
    openapi_extra=file_extra("A row per result, in batch order.", "text/csv", is_ranged=False),
)
def download_results_csv(request: HttpRequest, mission_id: Path[RowId], query: Query[ResultsIn]) -> HttpResponseBase:
    """Return a row per result, and one for each item without any.

    UTF-8; spreadsheets do not run any cell as a formula.
    """
    mission = visible_mission(request, mission_id)
    lines = tables.as_csv(mission, item_row, has_all_versions=query.versions == "all")
    response = ThreadedStream(lines, content_type="text/csv; charset=utf-8")
    return _as_attachment(response, download_name(mission, "_results.csv"))


class SheetIn(Schema):
    status: Annotated[
        list[ItemStatus], Field(description="Only the rows of these statuses: status=failed. Empty: all.")
    ] = []


@router.get(
    "/{mission_id}/sheet.xlsx",
    summary="Download a mission as a workbook that can be corrected",
    openapi_extra=file_extra("A row per item, in batch order.", XLSX, is_ranged=False),
)
def download_workbook(request: HttpRequest, mission_id: Path[RowId], query: Query[SheetIn]) -> HttpResponseBase:
    """Return the columns of the input, one per parameter, with images as they were named, and the
    status, reason, files and cost of each row. All cells are texts.

    `Item number` names the item of a row, so that corrected rows find their items in
    `POST /missions/{mission_id}/items/sheet`. As input of a new mission the result columns are not
    used.
    """
    mission = visible_mission(request, mission_id)
    blocks = sheets.as_xlsx(sheets.Sheet(mission), _indexes(mission, query))
    return _as_attachment(ThreadedStream(blocks, content_type=XLSX), download_name(mission, "_sheet.xlsx"))


@router.get(
    "/{mission_id}/sheet.csv",
    summary="Download a mission as a CSV table that can be corrected",
    openapi_extra=file_extra("A row per item, in batch order.", "text/csv", is_ranged=False),
)
def download_sheet(request: HttpRequest, mission_id: Path[RowId], query: Query[SheetIn]) -> HttpResponseBase:
    """Return what `sheet.xlsx` has.

    Cells that a spreadsheet would run as a formula begin with `'`; reading the table again removes
    it.
    """
    mission = visible_mission(request, mission_id)
    lines = sheets.as_csv(sheets.Sheet(mission), _indexes(mission, query))
    response = ThreadedStream(lines, content_type="text/csv; charset=utf-8")
    return _as_attachment(response, download_name(mission, "_sheet.csv"))


def _indexes(mission: Mission, query: SheetIn) -> QuerySet[MissionItem, int] | None:
    if not query.status:
        return None
    return mission.items.filter(status__in=query.status).values_list("index", flat=True)


@dataclass(frozen=True, slots=True)
class _ItemWithOutputs:
    """An item with outputs that were read already, for ``ItemOut``."""

    item: MissionItem
    loaded_outputs: Sequence[Output]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.item, name)


def item_row(item: MissionItem, outputs: Sequence[Output]) -> dict[str, Any]:
    """Return an item and its outputs as the API shows them."""
    for output in outputs:
        output.item = item
    return ItemOut.from_orm(_ItemWithOutputs(item, outputs)).model_dump()


def archive_response(request: HttpRequest, bundle: Bundle, name: str) -> HttpResponseBase:
    """Return an archive, or the single range of it that the request asks for, as a file to save."""
    is_sent = False
    try:
        response = ranged_response(
            request,
            lambda first, last: Slice(bundle, first, last),
            size=bundle.length,
            etag=bundle.etag,
            content_type="application/zip",
        )
        is_sent = response.streaming
    finally:
        if not is_sent:  # not modified, or no such range
            bundle.close()
    return _as_attachment(response, name)


def _as_attachment(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = content_disposition(name)
    return response
