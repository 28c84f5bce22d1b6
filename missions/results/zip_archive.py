"""A mission's results as one ZIP archive, streamed without a copy on disk.

Its length is computed in advance.

    plan      read the rows and the files' sizes, and make the manifest's rows
    stream    the files as they are stored, then the manifest

A file that is missing or has another size when the archive is planned is left out, and its row in
the manifest says so. A file whose bytes have changed since it was stored is marked there as well:
the manifest comes last, and the mark fits into the cell of the SHA-256. The archive is aborted only
if the announced length has become impossible. The client then sees that bytes are missing, and the
next archive is planned without that file.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import json
import logging
import struct
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.files.storage import storages
from django.db.models import QuerySet
from zipstream import ZipStream

from core import csv_files
from core.storage.listing import files_below, stored_file
from missions import selectors
from missions.models import Mission, MissionItem, Output
from missions.results import download, export
from missions.results.names import file_name

BLOCK_BYTES = 256 * 1024
FILE, DIGEST = (export.COLUMNS.index(name) for name in ("file", "sha256"))
MISSING = "The file is missing from the storage, or cannot be read."
RESIZED = "The file was changed after it was stored: it has another size."
LOCAL_DATE, CENTRAL_DATE = 10, 12  # where a file's header, and its entry in the directory, have the time
CENTRAL_HEADER = b"PK\x01\x02"  # begins an entry of the directory
DIGEST_WIDTH = 64  # characters of a SHA-256
CHANGED = "changed after it was stored".ljust(DIGEST_WIDTH)  # so that the manifest keeps its length

logger = logging.getLogger(__name__)


class BundleBroken(Exception):
    """The archive cannot be completed: a file disappeared or changed its size while it was sent."""


@dataclass(eq=False, slots=True)
class _Member:
    """One result file on its way into the archive."""

    output_id: int
    name: str
    stored_as: str  # empty: a text, which is in the output's row
    size: int
    digest: str
    changed: set[str]

    def __iter__(self) -> Iterator[bytes]:
        """Yield the file, counted and hashed. Raises BundleBroken."""
        sha256 = hashlib.sha256()
        size = 0
        for chunk in self._content():
            size += len(chunk)
            if size > self.size:
                break
            sha256.update(chunk)
            yield chunk
        if size != self.size:
            raise self._broken(f"it has {'more' if size > self.size else 'fewer'} bytes than before")
        if self.digest and sha256.hexdigest() != self.digest:
            logger.error("%s was changed after it was stored: its SHA-256 no longer fits", self.stored_as)
            self.changed.add(self.name)

    def _content(self) -> Iterator[bytes]:
        try:
            output = Output(file=self.stored_as) if self.stored_as else Output.objects.get(pk=self.output_id)
            yield from export.content_of(output)
        except Output.DoesNotExist:
            raise self._broken("its mission was removed") from None
        except OSError as error:
            raise self._broken(error.strerror or str(error)) from error

    def _broken(self, reason: str) -> BundleBroken:
        return BundleBroken(f"The archive was broken off at {self.stored_as or self.name}: {reason}.")


class _Manifest:
    """The table of the archive's files. Its rows are in memory, compressed, until they are sent.

    So results can be taken away from a full disk.
    """

    def __init__(self) -> None:
        self._rows = io.BytesIO()
        self._writer = gzip.open(self._rows, "wt", compresslevel=1, encoding="utf-8")  # noqa: SIM115 - closed below
        self.size = len(START)
        self._sha256 = hashlib.sha256()
        self.changed: set[str] = set()

    def add(self, row: Mapping[str, Any]) -> None:
        cells = export.cells(row)
        line = json.dumps(cells) + "\n"
        self._writer.write(line)
        self._sha256.update(line.encode())
        self.size += len(_line(cells))

    def digest(self) -> bytes:
        """Return a hash of all rows."""
        return self._sha256.digest()

    def __iter__(self) -> Iterator[bytes]:
        yield START
        self._writer.close()
        with gzip.open(io.BytesIO(self._rows.getbuffer()), "rt", encoding="utf-8") as rows:
            for line in rows:
                cells = json.loads(line)
                if cells[FILE] in self.changed:
                    cells[DIGEST] = CHANGED
                yield _line(cells)


class Bundle:
    """A planned archive: ``length`` in bytes, and its pieces, which can be read once.

    Planning reads every row of the mission, or only those at ``indexes``, and of ``more`` missions.
    Of a row with several versions the archive has the chosen one, or all of them with
    ``has_all_versions``. Without ``has_manifest`` it has the files alone. ``name_of`` names them.
    """

    def __init__(
        self,
        mission: Mission,
        indexes: Sequence[int] | QuerySet[MissionItem, int] | None = None,
        *,
        more: Sequence[tuple[Mission, Sequence[int]]] = (),
        has_all_versions: bool = False,
        has_manifest: bool = True,
        name_of: Callable[[MissionItem, Output], str] = file_name,
    ) -> None:
        self._mission = mission
        self._zip = ZipStream(sized=True)
        self._manifest = _Manifest()
        self._times: list[datetime] = []  # of the archive's files, in their order
        self._plan = hashlib.sha256()
        self._pieces = self._make()
        self._files = _files_of(mission) if indexes is None else {}
        for one, chosen in [(mission, indexes), *more]:
            for item, outputs in selectors.items_with_outputs(one, chosen, has_all_versions=has_all_versions):
                for row, output in export.manifest_rows(item, outputs, name_of):
                    self._manifest.add(row if output is None else self._with_file(row, output))
        if has_manifest:
            self._zip.add(self._manifest, export.MANIFEST, size=self._manifest.size)
            self._times.append(max(self._times, default=mission.created_at))
        self._plan.update(self._manifest.digest())

    @property
    def length(self) -> int:
        return len(self._zip)

    @property
    def etag(self) -> str:
        """A quoted name of the archive's bytes.

        Two archives with the same plan are equal byte by byte, so that a download can be resumed.
        """
        return f'"{self._plan.hexdigest()}"'

    def __iter__(self) -> Iterator[bytes]:
        """Yield the archive in pieces. Raises BundleBroken."""
        return self._pieces

    def close(self) -> None:
        """Close the file that is being sent."""
        self._pieces.close()

    def _make(self) -> Generator[bytes]:
        try:
            yield from _in_blocks(self._dated())
        except BundleBroken as error:
            logger.error("mission %s: %s", self._mission.pk, error)
            raise

    def _with_file(self, row: dict[str, Any], output: Output) -> dict[str, Any]:
        """Add a result to the archive, or write into its row why it is missing."""
        size, written_at = self._files.get(output.file) or _size_and_time_of(output)
        if size is None:
            return row | {"file": "", "error": MISSING}
        if output.size_bytes not in (None, size):
            return row | {"file": "", "error": RESIZED}
        member = _Member(output.pk, row["file"], output.file, size, row["sha256"], self._manifest.changed)
        self._zip.add(member, row["file"], size=size)
        at = output.stored_at or self._mission.created_at
        self._times.append(at)
        self._plan.update(f"{size} {at.isoformat()} {written_at}\n".encode())
        return row

    def _dated(self) -> Iterator[bytes]:
        """Yield the archive with the time at which each file was stored.

        The library writes the present time, which would make each archive another one.
        """
        for at in self._times:
            pieces = self._zip.file()
            yield _with_date(next(pieces), LOCAL_DATE, at)
            yield from pieces
        times = iter(self._times)
        for piece in self._zip.footer():
            yield _with_date(piece, CENTRAL_DATE, next(times)) if piece.startswith(CENTRAL_HEADER) else piece


def _files_of(mission: Mission) -> dict[str, tuple[int, datetime]]:
    """Return size and time of writing of a mission's files by name.

    They are listed together, because a remote storage is slow for single files.
    """
    pages = files_below(storages["results"], download.folder_of(mission.pk))
    return {file.name: (file.size, file.written_at) for page in pages for file in page}


def _size_and_time_of(output: Output) -> tuple[int | None, datetime | None]:
    """Return the size in bytes, None when the storage does not have the file, and its time."""
    if not output.file:
        return len(output.text.encode()), None
    try:
        file = stored_file(storages["results"], output.file)
    except OSError:
        return None, None
    return file.size, file.written_at


def _with_date(header: bytes, position: int, at: datetime) -> bytes:
    """Return a header of a ZIP file with another time (UTC; ZIP keeps even seconds from 1980)."""
    moment = at.astimezone(UTC)
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    day = max(moment.year - 1980, 0) << 9 | moment.month << 5 | moment.day
    return header[:position] + struct.pack("<HH", time, day) + header[position + 4 :]


def _line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv_files.writer(text).writerow(cells)
    return text.getvalue().encode()


START = codecs.BOM_UTF8 + _line(export.COLUMNS)  # the mark by which spreadsheets know UTF-8


def _in_blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in fewer pieces, each of at least BLOCK_BYTES except the last."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)
