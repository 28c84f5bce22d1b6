"""The names of result files: the one place that makes them.

A mission has a pattern such as ``{image}`` or ``{index}_{prompt}``. The stem that it makes of an
item is stored with the item when the mission is created, or when a person changes the pattern, and
is unique in the mission. The name of a file is then a matter of its own row, everywhere and always:

    fox.png   the first file of the item          fox-2.png      its second file
    fox_v2.png   the first file of its second version

Items that an older release created have no stem; theirs is made of number and prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import unquote, urlsplit

from batch_input.columns import prompt_field
from core.db import bulk
from core.file_names import (
    base_name,
    clean_stem,
    cut_text,
    distinct_stems,
    fill_pattern,
    plain_name,
    without_ending,
    words_stem,
)
from media import names as media_names
from missions.models import MissionItem, Output
from providers.catalog import Model
from providers.references import MEDIA, OUTPUT

IMAGE, CUSTOM_ID, PROMPT = "{image}", "{custom_id}", "{index}_{prompt}"
PLACEHOLDERS = ("image", "custom_id", "prompt", "index", "model", "date")
EXPECTED_ENDINGS = {"image": "png", "video": "mp4", "text": "txt"}  # by ``Model.result_kind``
BATCH = 1000
OLD_MIN_DIGITS = 4  # of the numbers in names of older releases
VALUE_BYTES = 120  # of a column's value in a name
_TAKEN = ("manifest",)  # files that stand beside the results


@dataclass(frozen=True, slots=True)
class NamedRow:
    """The parts of which the name of an item's files is made.

    ``params`` are all its parameters; ``origin`` is that of ``MissionItem``.
    """

    index: int
    params: Mapping[str, Any]
    custom_id: str = ""
    origin: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """The facts that the names of a mission's files may contain besides its rows.

    ``count`` is the number of its rows. ``columns`` maps the headings of the imported sheet to the
    parameters that they fill, "" for none.
    """

    model: Model
    count: int
    day: date
    metadata: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    def placeholders(self, params: Iterable[str]) -> list[str]:
        """Return the placeholders that have a meaning; ``params`` are the names of parameters."""
        scalars = [name for name, value in self.metadata.items() if isinstance(value, str | int | float)]
        others = {plain_name(name): name for name in (*params, *scalars, *self.columns) if not set(name) & set("{}")}
        standard = {plain_name(name) for name in PLACEHOLDERS}
        return [*PLACEHOLDERS, *(name for plain, name in others.items() if plain and plain not in standard)]

    def examples(self, stems: Iterable[str]) -> list[str]:
        """Return names as they will probably be: the provider decides the ending."""
        return [f"{stem}.{EXPECTED_ENDINGS[self.model.result_kind]}" for stem in stems]

    def stems(self, pattern: str, rows: Sequence[NamedRow]) -> list[str]:
        """Return the stems of rows of the mission, each of them once."""
        stems = [self._stem(pattern, row) for row in rows]
        return distinct_stems([f"{stem}_" if stem.casefold() in _TAKEN else stem for stem in stems])

    def _stem(self, pattern: str, row: NamedRow) -> str:
        values = _Values(self, row)
        return fill_pattern(pattern, values) or fill_pattern(PROMPT, values)


class _Values(dict[str, str]):
    """The values of a row's placeholders by ``plain_name``, each made when it is first needed."""

    def __init__(self, naming: Naming, row: NamedRow) -> None:
        super().__init__()
        self._naming, self._row = naming, row

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = self._value(name)
        return self[name] or default

    def _value(self, name: str) -> str:
        naming, row = self._naming, self._row
        match name:
            case "index":
                return f"{row.index:0{len(str(naming.count))}d}"
            case "image":
                return clean_stem(without_ending(base_name(next(iter(names_of_files(naming.model, row)), ""))))
            case "customid":
                return clean_stem(without_ending(row.custom_id))
            case "prompt":
                parameter = prompt_field(naming.model)
                text = row.params.get(parameter.name if parameter else naming.model.batch_field)
                return words_stem(text) if isinstance(text, str) else ""
            case "model":
                return words_stem(naming.model.name)
            case "date":
                return naming.day.isoformat()
        cells = (row.origin or {}).get("cells") or {}
        fields = {plain_name(heading): name for heading, name in naming.columns.items() if name}
        for values in (cells, row.params, naming.metadata):
            for key, value in values.items():
                if plain_name(key) in (name, plain_name(fields.get(name, name))):
                    entries = value if isinstance(value, list) else [value]
                    shown = [str(entry) for entry in entries if isinstance(entry, str | int | float)]
                    return cut_text(clean_stem("-".join(shown)), VALUE_BYTES)
        return ""


def default_pattern(model: Model, rows: Sequence[NamedRow]) -> str:
    """Return the pattern of a mission that has none of its own.

    Rows with own ids are named by these, rows with different images by their images, and others by
    their numbers and prompts.
    """
    if any(row.custom_id for row in rows):
        return CUSTOM_ID
    images = [next(iter(names_of_files(model, row)), "") for row in rows]
    different = len(set(filter(None, images)))
    if different > 1 or (different and len(rows) == 1):
        prompt = prompt_field(model)
        has_prompts = prompt and len({str(row.params.get(prompt.name)) for row in rows}) > 1
        return f"{IMAGE}_{{prompt}}" if different < len(rows) and has_prompts else IMAGE
    return PROMPT


# --- Names of source files ---


def references_in(model: Model, params: Mapping[str, Any]) -> list[str]:
    """Return the files that parameters name, in their order."""
    values = [params[name] for name in model.file_names(params)]
    return [entry for value in values for entry in ([value] if isinstance(value, str) else value)]


def names_of_files(model: Model, row: NamedRow) -> list[str]:
    """Return the names of the files that a row was made from, as far as they are known."""
    known = (row.origin or {}).get("names") or {}
    return [known.get(entry) or _name_in_address(entry) for entry in references_in(model, row.params)]


def source_names(item: MissionItem) -> list[str]:
    """Return the original names of the photos that an item was made from."""
    return list(((item.origin or {}).get("names") or {}).values())


def original_names(owner_id: int, references: Iterable[str]) -> dict[str, str]:
    """Return the names of uploaded files and of results by their references."""
    wanted = set(references)
    media_ids = sorted(int(match[1]) for each in wanted if (match := MEDIA.fullmatch(each)))
    names = {f"media:{pk}": name for pk, name in media_names.original_names(owner_id, media_ids).items()}
    item_ids = sorted({int(match[1]) for each in wanted if (match := OUTPUT.fullmatch(each))})
    for batch in bulk.batches(item_ids, BATCH):
        outputs = Output.objects.filter(item__in=batch, item__mission__owner=owner_id).order_by("attempt")
        names |= {
            output.reference: file_name(output.item, output) for output in outputs.select_related("item__mission")
        }
    return {reference: name for reference, name in names.items() if reference in wanted}


def _name_in_address(reference: str) -> str:
    """Return the last part of a URL; "" for another reference."""
    if not reference.lower().startswith(("http://", "https://")):
        return ""
    try:
        return base_name(unquote(urlsplit(reference).path))
    except ValueError:
        return ""


# --- Names of results ---


def stem_of(item: MissionItem) -> str:
    """Return the name of an item's first file without its ending. The item has its mission."""
    stem = item.file_name or _old_stem(item)
    return f"{stem}_v{item.version}" if item.first_index else stem


def file_name(item: MissionItem, output: Output) -> str:
    """Return the name of a result's file. It is the same in every download and on every page."""
    number = f"-{output.index}" if output.index > 1 else ""
    return f"{stem_of(item)}{number}.{output.extension or 'txt'}"


def file_name_without_prompt(item: MissionItem, output: Output) -> str:
    """Return a name for people who may not see prompts: by own id or photo, else by number."""
    pattern = item.mission.file_name_pattern
    texts = {CUSTOM_ID: item.custom_id, IMAGE: base_name(next(iter(source_names(item)), ""))}
    expected = plain_name(clean_stem(without_ending(texts.get(pattern, ""))))
    # Without a usable id or photo, the stored name is made of the prompt.
    if expected and plain_name(item.file_name).startswith(expected):
        return file_name(item, output)
    prefix = "item_" if pattern in texts else ""  # another item's own id may be a number
    version = f"_v{item.version}" if item.first_index else ""
    number = f"-{output.index}" if output.index > 1 else ""
    place = f"{item.place:0{len(str(item.mission.total_count))}d}"
    return f"{prefix}{place}{version}{number}.{output.extension or 'txt'}"


def _old_stem(item: MissionItem) -> str:
    text = item.custom_id or str((item.mission.params | item.params).get("prompt") or "")
    digits = max(len(str(item.mission.total_count)), OLD_MIN_DIGITS)
    return f"{item.place:0{digits}d}_{words_stem(text) or 'item'}"
