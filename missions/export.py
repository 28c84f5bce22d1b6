"""A mission's results as a folder of files that a person can use: good names, and a table of what each one is."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.files.storage import storages
from django.utils.text import slugify

from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus

MANIFEST = "manifest.csv"
COLUMNS = ("index", "custom_id", "parameters", "status", "file", "sha256", "cost", "error")
SLUG_LENGTH = 40
CHUNK_BYTES = 1024 * 1024
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class ExportFailed(Exception):
    """The folder could not be filled.  Everything is still in the application's own storage."""


def require_usable(folder: Path, *, is_resumed: bool) -> None:
    """Raises ExportFailed when files in the folder could be overwritten, or when it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = {path.name for path in folder.iterdir()}
        probe = folder / f".{MANIFEST}.part"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ExportFailed(f"{folder} cannot be written to: {error.strerror}.") from error
    if held and not (is_resumed and MANIFEST in held):
        raise ExportFailed(f"{folder} is not empty. Give another folder, so that nothing in it is overwritten.")


def export(mission: Mission, folder: Path) -> int:
    """Copy every stored result to ``folder`` as 0001_slug.png, with a manifest.csv.  Returns how many files.

    Each copy is compared with the SHA-256 of its row.  Raises ExportFailed.
    """
    part = folder / f".{MANIFEST}.part"
    count = 0
    try:
        with part.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            for item in mission.items.order_by("index").prefetch_related("outputs").iterator(chunk_size=200):
                item.mission = mission
                for row in _rows(item, folder):
                    count += bool(row["file"])
                    table.writerow([safe_cell(row[column]) for column in COLUMNS])
        part.replace(folder / MANIFEST)
    except OSError as error:
        raise ExportFailed(f"{folder} could not be filled: {error.strerror or error}.") from error
    return count


def safe_cell(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def file_stem(item: MissionItem) -> str:
    """``0007_red-fox``: the place in the batch, and what it is about."""
    params = item.mission.params | item.params
    about = slugify(item.custom_id or str(params.get("prompt") or ""), allow_unicode=True)[:SLUG_LENGTH].strip("-_")
    return f"{item.index:04d}_{about or 'item'}"


def _rows(item: MissionItem, folder: Path) -> Iterator[dict[str, Any]]:
    """A row per result file, or one that says why there is none."""
    outputs = list(item.outputs.all())
    stored = [output for output in outputs if output.status == OutputStatus.STORED]
    base = {
        "index": item.index,
        "custom_id": item.custom_id,
        "parameters": json.dumps(item.mission.params | item.params, ensure_ascii=False, sort_keys=True),
        "status": item.status,
        "cost": item.cost,
        "error": "" if item.status == ItemStatus.COMPLETED else item.error_message,
    }
    for number, output in enumerate(stored, start=1):
        suffix = f"-{number}" if len(stored) > 1 else ""
        name, digest = _copy(output, folder, f"{file_stem(item)}{suffix}")
        yield {**base, "file": name, "sha256": digest, "cost": item.cost if number == 1 else ""}
    if not stored:
        missing = next((output.error_message for output in outputs if output.error_message), "")
        yield {**base, "file": "", "sha256": "", "error": base["error"] or missing}


def _copy(output: Output, folder: Path, stem: str) -> tuple[str, str]:
    name = f"{stem}.{output.extension or 'txt'}"
    part = folder / f".{name}.part"
    digest = hashlib.sha256()
    with part.open("wb") as target:
        for chunk in _content(output):
            digest.update(chunk)
            target.write(chunk)
    if output.sha256 and digest.hexdigest() != output.sha256:
        part.unlink()
        raise ExportFailed(f"{output.file} was changed after it was stored: its SHA-256 no longer fits.")
    part.replace(folder / name)
    return name, digest.hexdigest()


def _content(output: Output) -> Iterator[bytes]:
    if not output.file:
        yield output.text.encode()
        return
    with storages["results"].open(output.file) as source:
        yield from source.chunks(CHUNK_BYTES)
