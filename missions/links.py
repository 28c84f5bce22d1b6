"""Paths of a mission's API operations and result files."""

from __future__ import annotations

from django.urls import reverse

from missions.models import Output


def mission_path(mission_id: int) -> str:
    """Return the path of a mission in the API."""
    return reverse("api:mission", args=[mission_id])


def mission_urls(mission_id: int) -> dict[str, str]:
    """Return the paths of a mission's operations, by name."""
    path = mission_path(mission_id)
    names = ("items", "events", "download", "cancel", "pause", "resume", "release", "retry")
    files = {"sheet_xlsx": f"{path}/sheet.xlsx", "sheet_csv": f"{path}/sheet.csv"}
    files |= {"results_jsonl": f"{path}/results.jsonl", "results_csv": f"{path}/results.csv"}
    return {"self": path, **{name: f"{path}/{name}" for name in names}, **files}


def output_url(output: Output) -> str:
    """Return the path of a result's file; ``/thumbnail`` below it is its thumbnail."""
    return f"{mission_path(output.item.mission_id)}/items/{output.item.index}/outputs/{output.index}"


def thumbnail_url(output: Output) -> str:
    """Return the path of a result's thumbnail."""
    return f"{output_url(output)}/thumbnail"
