"""``/missions/{id}/download`` and ``results.jsonl | .csv``: all that a mission made, streamed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.http import content_disposition_header
from ninja import Path, Router

from core.api.ids import RowId
from core.http.streaming import ThreadedStream
from missions.api.missions import visible_mission
from missions.results import tables
from missions.results.export import download_name
from missions.results.zip_archive import Bundle

router = Router(tags=["Results"])


def _documented(content_type: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "binary"}
    return {"responses": {200: {"description": description, "content": {content_type: {"schema": schema}}}}}


@router.get(
    "/{mission_id}/download",
    summary="All result files as one ZIP archive",
    openapi_extra=_documented("application/zip", "Files named 0001_slug.png, and manifest.csv. Its length is known."),
)
def download(request: HttpRequest, mission_id: Path[RowId]) -> ThreadedStream:
    """What is stored at this moment, as `{name}_results.zip`.

    `manifest.csv` has a row per file, with its SHA-256, and one for each item without a file, with the reason. A connection
    that ends before Content-Length bytes came means that the archive is not whole: ask again.
    """
    mission = visible_mission(request, mission_id)
    bundle = Bundle(mission)
    response = ThreadedStream(bundle, content_type="application/zip")
    response["Content-Length"] = str(bundle.length)
    return _named(response, f"{download_name(mission)}_results.zip")


@router.get(
    "/{mission_id}/results.jsonl",
    summary="All items with their results, as JSON Lines",
    openapi_extra=_documented("application/x-ndjson", "An object per item, in the order of the batch."),
)
def results_jsonl(request: HttpRequest, mission_id: Path[RowId]) -> ThreadedStream:
    """An object per line and item, as `GET /missions/{id}/items` has them, without pages and without the envelope."""
    mission = visible_mission(request, mission_id)
    lines = tables.as_json_lines(mission)
    return _named(ThreadedStream(lines, content_type="application/x-ndjson"), f"{download_name(mission)}_results.jsonl")


@router.get(
    "/{mission_id}/results.csv",
    summary="All items with their results, as a table",
    openapi_extra=_documented("text/csv", "A row per result, in the order of the batch."),
)
def results_csv(request: HttpRequest, mission_id: Path[RowId]) -> ThreadedStream:
    """A row per result, and one for each item without any. UTF-8; no cell is taken for a formula."""
    mission = visible_mission(request, mission_id)
    table = tables.as_csv(mission)
    return _named(
        ThreadedStream(table, content_type="text/csv; charset=utf-8"), f"{download_name(mission)}_results.csv"
    )


def _named(response: ThreadedStream, name: str) -> ThreadedStream:
    response["Content-Disposition"] = content_disposition_header(True, name)
    return response
