"""Export a mission's results to a folder: files with readable names, and a table of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.files.storage import storages

from core import csv_files
from core.file_names import clean_stem
from missions import selectors
from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus
from missions.results.names import file_name, source_names

MANIFEST = "manifest.csv"
SEPARATOR = " | "  # between the names in a cell
COLUMNS = (
    "index", "version", "custom_id", "source", "parameters", "status", "file", "sha256", "cost", "error", "tags", "mission",
)  # fmt: skip
NOT_STORED = "This file is still being downloaded from the provider. Download the results again later."
CHUNK_BYTES = 256 * 1024


class ExportFailed(Exception):
    """The export failed. All files are still in the application's own storage."""


def download_name(mission: Mission, ending: str) -> str:
    """Return the mission's name and an ending such as ``_results.zip``.

    Characters that file systems refuse are replaced, and a long name is cut.
    """
    return (clean_stem(mission.name) or "mission") + ending


def require_usable(folder: Path, *, is_resumed: bool) -> None:
    """Raise ExportFailed when the folder is not empty or cannot be written to."""
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
    """Copy every stored result to ``folder`` under its name, with a manifest.csv.

    Returns how many files.

    Each copy is compared with the SHA-256 of its row. Raises ExportFailed.
    """
    part = folder / f".{MANIFEST}.part"
    count = 0
    try:
        with part.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv_files.writer(file)
            table.writerow(COLUMNS)
            for item, outputs in selectors.items_with_outputs(mission):
                for row, output in manifest_rows(item, outputs):
                    if output is not None:
                        _copy(output, folder / row["file"], row["sha256"])
                        count += 1
                    table.writerow(cells(row))
        part.replace(folder / MANIFEST)
    except OSError as error:
        raise ExportFailed(f"{folder} could not be filled: {error.strerror or error}.") from error
    return count


def manifest_rows(
    item: MissionItem, outputs: Sequence[Output], name_of: Callable[[MissionItem, Output], str] = file_name
) -> Iterator[tuple[dict[str, Any], Output | None]]:
    """Return a row for each result, and one for an item without any. ``name_of`` names the files.

    A row without a file has the reason in ``error``.
    """
    stored = [output for output in outputs if output.status == OutputStatus.STORED]
    base = {
        "index": item.place,
        "version": item.version,
        "custom_id": item.custom_id,
        "source": SEPARATOR.join(source_names(item)),
        "parameters": json.dumps(item.mission.params | item.params, ensure_ascii=False, sort_keys=True),
        "status": item.status,
        "cost": item.cost,
        "tags": SEPARATOR.join(getattr(item, "tag_names", ())),
        "mission": item.mission.name,
        "error": "" if item.status == ItemStatus.COMPLETED else item.error_message,
    }
    for output in stored:
        cost = item.cost if output is stored[0] else ""
        yield {**base, "file": name_of(item, output), "sha256": digest_of(output), "cost": cost}, output
    missing = [output for output in outputs if output.status != OutputStatus.STORED]
    for output in missing:
        reason = NOT_STORED if output.status == OutputStatus.PENDING else output.error_message
        cost = "" if stored or output != missing[0] else item.cost
        yield {**base, "file": "", "sha256": "", "cost": cost, "error": base["error"] or reason}, None
    if not outputs:
        yield {**base, "file": "", "sha256": ""}, None


def cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row of the manifest as it is written."""
    return [csv_files.safe_cell(row[column]) for column in COLUMNS]


def digest_of(output: Output) -> str:
    """Return the SHA-256 that a result had when it was stored; a text is stored in its row."""
    return output.sha256 if output.file else hashlib.sha256(output.text.encode()).hexdigest()


def _copy(output: Output, path: Path, digest: str) -> None:
    part = path.with_name(f".{path.name}.part")
    sha256 = hashlib.sha256()
    with part.open("wb") as target:
        for chunk in content_of(output):
            sha256.update(chunk)
            target.write(chunk)
    if digest and sha256.hexdigest() != digest:
        part.unlink()
        raise ExportFailed(f"{output.file} was changed after it was stored: its SHA-256 no longer fits.")
    part.replace(path)


def content_of(output: Output) -> Iterator[bytes]:
    """Yield a stored result in pieces."""
    if not output.file:
        yield output.text.encode()
        return
    with storages["results"].open(output.file) as source:
        yield from source.chunks(CHUNK_BYTES)
