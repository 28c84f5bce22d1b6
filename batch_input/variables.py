"""Variables in prompts, and texts around them.

    {red|blue} car      one item for each alternative; several groups are combined
    a {{colour}} car    the row's cell in that column of the table
    \\{                  a brace that begins nothing

Braces of other kinds stay as they are: ``{"a": 1}``, ``{x}``. Full-width braces count, too.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from batch_input.columns import prompt_field
from core.errors import FieldError
from providers.catalog import Model

MAX_AROUND = 5000  # characters of a prefix or suffix
SHOWN_NAMES = 20

_COLUMN = re.compile(r"(?<!\\)(?:\{\{|｛｛)([^{}｛｝|｜]{1,200})(?:\}\}|｝｝)")
# Possessive (*+): tried again in other ways, a long prompt without its last brace would take years.
_TOKEN = re.compile(r"\\([{｛])|[{｛]((?:\\[{}|｛｝｜]|[^{}｛｝])*+)[}｝]")
_BAR = re.compile(r"(?<!\\)[|｜]")
_ESCAPE = re.compile(r"\\([{}|｛｝｜])")
# Marks in the values of cells are no variables: they stand for themselves while a text is read.
_SAFE = str.maketrans({mark: chr(0xF0000 + number) for number, mark in enumerate("{}|｛｝｜\\")})
_UNSAFE = {ord(safe): chr(mark) for mark, safe in _SAFE.items()}


@dataclass(frozen=True, slots=True)
class PromptRules:
    """Rules for every prompt: texts before and after it, then variables, if they are on."""

    prefix: str = ""
    suffix: str = ""
    has_variables: bool = False

    def __bool__(self) -> bool:
        return self.has_variables or bool(self.prefix.strip() or self.suffix.strip())

    def around(self, text: str) -> str:
        """Return a prompt with the texts before and after it."""
        return join_texts(self.prefix, text, self.suffix)


@dataclass(frozen=True, slots=True)
class ExpandedRows:
    """Rows after the rules. ``numbers`` has the place of the row that each one comes from.

    ``count`` is how many there are; above the limit no more are made.
    """

    rows: list[Any] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)
    count: int = 0


def join_texts(prefix: str, text: str, suffix: str) -> str:
    """Return a text between a prefix and a suffix, with a space where two words would touch."""
    joined = ""
    for part in (prefix, text, suffix):
        last, first = joined[-1:], part[:1]
        is_word = bool(first) and first.isascii() and (first.isalnum() or first in "([{")
        touches = is_word and last.isascii() and not last.isspace() and last not in "([{'\"-/"
        joined += f" {part}" if last and touches else part
    return joined


def columns_in(text: str) -> list[str]:
    """Return the names of the columns that a text uses."""
    return [name.strip() for name in _COLUMN.findall(text)]


def count_items(text: str) -> int:
    """Return how many items a text with alternatives makes; 1 without."""
    return math.prod(len(part) for part in _parts(text))


def count_varied(texts: Iterable[str]) -> tuple[int, int]:
    """Return how many texts have alternatives, and how many items all the texts make."""
    counts = [count_items(text) for text in texts]
    return sum(count > 1 for count in counts), sum(counts)


def fill_columns(text: str, cells: Mapping[str, Any]) -> str:
    """Replace ``{{column}}`` by the cell. Raises KeyError with the name of an unknown column.

    The names in ``cells`` are normalized.
    """
    return _COLUMN.sub(lambda match: _as_text(cells[normalized(match[1])]).translate(_SAFE), text)


def expand(text: str) -> Iterator[str]:
    """Yield the texts that a text with alternatives stands for, in its order."""
    for choice in itertools.product(*_parts(text)):
        yield "".join(choice).translate(_UNSAFE)


def normalized(name: str) -> str:
    """Return the name of a column as it is compared: without case and outer spaces."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def expand_rows(
    rows: Sequence[Any],
    *,
    model: Model,
    shared: Mapping[str, Any],
    rules: PromptRules,
    columns: Sequence[Mapping[str, Any]] | None = None,
    limit: int,
) -> ExpandedRows:
    """Apply the rules to the prompts of rows, or to the shared prompt of those that have none.

    ``columns`` has the cells of each row of a table by the names of its columns. Without a table,
    the other fields of a row are its columns; one that is no parameter is taken out of the row if
    its prompt uses it. Errors name the prompts of the rows. At most ``limit`` rows are made.
    """
    prompt = prompt_field(model)
    if prompt is None:
        name = "variables" if rules.has_variables else "prefix" if rules.prefix.strip() else "suffix"
        message = _("This model has no prompt, so there is nothing to change. Leave this out.")
        return ExpandedRows(list(rows), list(range(len(rows))), [FieldError(name, message)], len(rows))
    made: list[Any] = []
    numbers: list[int] = []
    errors: list[FieldError] = []
    count = 0
    for number, entry in enumerate(rows):
        row: Any = {prompt.name: entry} if isinstance(entry, str) and prompt.name == model.batch_field else entry
        text = row.get(prompt.name, shared.get(prompt.name)) if isinstance(row, Mapping) else None
        if not isinstance(text, str) or not rules.has_variables:
            made.append({**row, prompt.name: rules.around(text)} if isinstance(text, str) else entry)
            numbers.append(number)
            count += 1
            continue
        text = rules.around(text)
        own = {name: value for name, value in row.items() if name != prompt.name}
        row_columns = own if columns is None else columns[number]
        cells = {normalized(name): value for name, value in row_columns.items()}
        names = columns_in(text)
        if unknown := [name for name in names if normalized(name) not in cells]:
            message = _unknown_column(unknown[0], list(row_columns))
            errors.append(FieldError(f"batch_input.{number}.{prompt.name}", message))
            continue
        row = dict(row)
        if columns is None:
            used = {normalized(name) for name in names}
            row = {name: value for name, value in row.items() if normalized(name) not in used or model.parameter(name)}
        text = fill_columns(text, cells)
        count += count_items(text)
        if count <= limit:
            variants = list(expand(text))
            made += [row | {prompt.name: variant} for variant in variants]
            numbers += [number] * len(variants)
    return ExpandedRows(made, numbers, errors, count)


def vary_rows(
    rows: Sequence[Any], numbers: Sequence[int], variations: Mapping[str, Sequence[Any]], *, model: Model
) -> tuple[list[Any], list[int]]:
    """Return every row once for each combination of values, with the numbers that it comes from.

    A row that sets such a parameter itself keeps its value.
    """
    made: list[Any] = []
    made_numbers: list[int] = []
    for number, entry in zip(numbers, rows, strict=True):
        row = {model.batch_field: entry} if isinstance(entry, str) else entry
        if not isinstance(row, Mapping):
            made.append(entry)
            made_numbers.append(number)
            continue
        choices = {name: values for name, values in variations.items() if row.get(name) in (None, "")}
        for values in itertools.product(*choices.values()):
            made.append({**row, **dict(zip(choices, values, strict=True))})
            made_numbers.append(number)
    return made, made_numbers


def _parts(text: str) -> Iterator[list[str]]:
    """Yield the alternatives of each part of a text; a part without any is a list of one."""
    end = 0
    for match in _TOKEN.finditer(text):
        if match[1]:  # an escaped brace
            alternatives = [match[1]]
        elif _BAR.search(match[2]) and match[2].strip()[:1] not in ('"', "'", "“"):
            alternatives = [_ESCAPE.sub(r"\1", part) for part in _BAR.split(match[2])]
        else:
            continue
        if text[end : match.start()]:
            yield [text[end : match.start()]]
        yield alternatives
        end = match.end()
    if text[end:] or not end:
        yield [text[end:]]


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _unknown_column(name: str, names: Sequence[str]) -> str:
    if not names:
        return _(
            "There is no column “%(name)s”, because the rows have no columns. Import a table, or write \\{{ for "
            "braces that are part of the prompt."
        ) % {"name": name}
    shown = ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")
    return _("There is no column “%(name)s”. Columns: %(names)s.") % {"name": name, "names": shown}
