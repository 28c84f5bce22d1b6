"""Reading a prompts file: what a person has at hand becomes the rows of a mission.

    .txt     a prompt per line
    .csv     the first line names the fields; ``custom_id`` is one; lists are written with "|" between their values
    .jsonl   a text or an object per line

Blank lines are skipped and nothing is merged: two equal lines are two items.  Chinese spreadsheets are read as they are
saved: a byte order mark decides, then UTF-8 is tried strictly, then GB18030.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from django.contrib.auth.models import AbstractBaseUser

from media.services import UploadInvalid, store_upload
from missions import references
from providers.catalog import Model, ParameterType

FORMATS = {".txt": "txt", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
SEPARATOR = "|"
MAX_ERRORS = 200

_LINE_END = re.compile(r"\r\n|\r|\n")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_REMOTE = re.compile(r"(?i)https?://|media:")

RowValue = str | dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong in a line of the file.  Lines count from 1; 0 is the file as a whole."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


class RowsInvalid(ValueError):
    """The file cannot be used.  ``errors`` holds everything that is wrong (up to MAX_ERRORS), not only the first."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        super().__init__("; ".join(str(error) for error in errors[:5]))
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Row:
    """One item, and the line on which it begins."""

    line: int
    value: RowValue


def format_of(name: str) -> str:
    """The format that a file's name tells.  Raises RowsInvalid for another ending."""
    try:
        return FORMATS[Path(name).suffix.lower()]
    except KeyError:
        raise RowsInvalid([RowError(0, f"{name}: give a .txt, .csv or .jsonl file.")]) from None


def read_rows(source: Path | str | IO[bytes], *, format: str) -> list[RowValue]:  # noqa: A002
    """The rows of a file, as ``services.create_mission`` takes them.  ``format``: txt, csv or jsonl.

    Raises RowsInvalid.
    """
    return [row.value for row in read_lines(source, format=format)]


def read_lines(
    source: Path | str | IO[bytes],
    *,
    format: str,  # noqa: A002
    lists: Collection[str] | None = None,
) -> list[Row]:
    """``read_rows`` with line numbers.  ``lists`` names the CSV columns that hold lists (None: names in …Urls)."""
    text = decode(_bytes(source))
    try:
        reader = _READERS[format]
    except KeyError:
        raise RowsInvalid([RowError(0, f"The format {format!r} is not one of {', '.join(_READERS)}.")]) from None
    rows, errors = [], []
    for line, value, problem in reader(text, lists):
        if problem:
            errors.append(RowError(line, problem))
        else:
            rows.append(Row(line, value))
        if len(errors) >= MAX_ERRORS:
            break
    if errors:
        raise RowsInvalid(errors)
    if not rows:
        raise RowsInvalid([RowError(0, "The file has no rows.")])
    return rows


def decode(content: bytes) -> str:
    """The text of a file, whatever wrote it.  Raises RowsInvalid when it is not text."""
    marked = next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
    for encoding in [marked] if marked else ["utf-8", "gb18030"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise RowsInvalid([RowError(0, "The file is not a text file, or is damaged. Save it as UTF-8.")])


def duplicates(rows: Sequence[RowValue]) -> int:
    """How many rows are the same as an earlier one.  Each is generated, and paid."""
    return len(rows) - len({json.dumps(row, sort_keys=True) for row in rows})


def list_fields(model: Model) -> set[str] | None:
    """The fields of a model that hold lists, for ``read_lines``."""
    if model.is_free_form:
        return None
    return {field.name for field in model.parameters if field.type is ParameterType.IMAGES}


def _bytes(source: Path | str | IO[bytes]) -> bytes:
    if not isinstance(source, str | Path):
        return source.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise RowsInvalid([RowError(0, f"{source} cannot be read: {error.strerror}.")]) from error


# --- One reader per format: each gives (line, value, what is wrong) ---

_Found = tuple[int, Any, str]


def _read_txt(text: str, _lists: Collection[str] | None) -> Iterator[_Found]:
    for number, line in lines_of(text):
        yield number, line, ""


def _read_jsonl(text: str, _lists: Collection[str] | None) -> Iterator[_Found]:
    return read_jsonl(text)


def read_jsonl(text: str) -> Iterator[_Found]:
    """Each line that is not blank, as (line, value, what is wrong)."""
    for number, line in lines_of(text):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, None, f"This is not JSON ({error}). Write a text in quotes or an object on each line."
            continue
        is_row = isinstance(value, str | dict)
        yield number, value, "" if is_row else "Write a text in quotes or an object, not a number or a list."


def _read_csv(text: str, lists: Collection[str] | None) -> Iterator[_Found]:
    names: list[str] = []
    try:
        for line, cells in csv_records(text):
            if names:
                yield line, _object(names, cells, lists), width_problem(names, cells)
                continue
            names = [cell.strip() for cell in cells]
            problem = _header_problem(names)
            if problem:
                yield line, None, problem
                return
    except RowsInvalid as broken:
        yield broken.errors[0].line, None, broken.errors[0].message


def csv_records(text: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the line on which it begins.  Raises RowsInvalid where the quoting breaks."""
    stripped = text.lstrip("\r\n")
    skipped = len(_LINE_END.findall(text[: len(text) - len(stripped)]))
    first = _LINE_END.split(stripped, maxsplit=1)[0]
    delimiter = max(",\t;", key=first.count)
    reader = csv.reader(io.StringIO(stripped, newline=""), delimiter=delimiter, strict=True)
    start = 1
    try:
        for cells in reader:
            line, start = start + skipped, reader.line_num + 1
            if any(cell.strip() for cell in cells):
                yield line, cells
    except csv.Error as error:
        message = f"This is not a proper CSV line ({error}). Is a quotation mark left open?"
        raise RowsInvalid([RowError(reader.line_num + skipped, message)]) from None


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, stripped, by their numbers."""
    for number, line in enumerate(_LINE_END.split(text), start=1):
        if line.strip():
            yield number, line.strip()


def _header_problem(names: Sequence[str]) -> str:
    if not all(names):
        return "A column has no name. The first line must name the fields, such as prompt,aspectRatio."
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"Columns are named twice: {', '.join(twice)}." if twice else ""


def width_problem(names: Sequence[str], cells: Sequence[str]) -> str:
    """What is wrong with a row that has more cells than there are columns."""
    if any(cell.strip() for cell in cells[len(names) :]):
        return f"{len(cells)} cells, but {len(names)} columns. Put a text that has commas in quotation marks."
    return ""


def _object(names: Sequence[str], cells: Sequence[str], lists: Collection[str] | None) -> dict[str, Any]:
    """The cells that are not blank, by name."""
    found: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        if cell.strip():
            is_list = name in lists if lists is not None else name.endswith("Urls")
            found[name] = split(cell) if is_list else cell.strip()
    return found


def split(cell: str) -> list[str]:
    """``"a.png | b.png"`` → ``["a.png", "b.png"]``"""
    return [part.strip() for part in cell.split(SEPARATOR) if part.strip()]


_READERS: dict[str, Callable[[str, Collection[str] | None], Iterator[_Found]]] = {
    "txt": _read_txt,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
}


# --- Local image files ---


def upload_local_files(rows: Sequence[Row], *, model: Model, folder: Path, owner: AbstractBaseUser) -> list[Row]:
    """Rows with every path of a local image, relative to ``folder``, replaced by ``media:ID`` of the uploaded file.

    Only for commands that run on the person's own machine: over the network it would hand out the server's files.
    Raises RowsInvalid.
    """
    taker = _FileTaker(model, folder, owner)
    taken = [taker.take(row) for row in rows]
    if taker.errors:
        raise RowsInvalid(taker.errors[:MAX_ERRORS])
    return taken


class _FileTaker:
    """Uploads each file once, however many rows name it."""

    def __init__(self, model: Model, folder: Path, owner: AbstractBaseUser) -> None:
        self.model, self.folder, self.owner = model, folder, owner
        self.errors: list[RowError] = []
        self._known: dict[str, str] = {}

    def take(self, row: Row) -> Row:
        value = self._as_object(row.value)
        if not isinstance(value, dict):
            return row
        changed = dict(value)
        for name in references.names_in(self.model, value):
            given = value[name]
            if isinstance(given, str):
                changed[name] = self._reference(given, row.line)
            elif isinstance(given, list):
                changed[name] = [self._reference(entry, row.line) for entry in given]
        return Row(row.line, changed)

    def _as_object(self, value: RowValue) -> RowValue:
        """A bare text that fills a file field is one or several files."""
        name = self.model.batch_field
        if isinstance(value, dict) or not references.names_in(self.model, {name: value}):
            return value
        is_list = name in (list_fields(self.model) or ()) or (self.model.is_free_form and name.endswith("Urls"))
        return {name: split(value) if is_list else value}

    def _reference(self, given: Any, line: int) -> Any:
        if not isinstance(given, str) or not given.strip() or _REMOTE.match(given):
            return given
        if given not in self._known:
            self._known[given] = self._upload(given, line)
        return self._known[given]

    def _upload(self, given: str, line: int) -> str:
        path = self.folder / Path(given).expanduser()
        try:
            with path.open("rb") as file:
                stored = store_upload(owner=self.owner, file=file, name=path.name)
        except UploadInvalid as error:
            self.errors.append(RowError(line, f"{given}: {error}"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            self.errors.append(RowError(line, f"The image {given} cannot be read: {reason}."))
        else:
            return stored.media.reference
        return given
