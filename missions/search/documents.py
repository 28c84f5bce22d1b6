"""The words of items, as the index holds them.

Besides words, an entry has marks: words that begin with a colon, which no text contains. Filters
ask for them, so that the index itself finds the few rows of a person or a model among many.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.db import bulk
from core.tags import comparable
from core.words import TextWords, words_of
from media.models import MediaFile
from missions.models import ItemTag, Mission, MissionItem, Output
from providers import catalog, references
from providers.catalog import Model, ParameterType

TEXT_LENGTH = 20_000  # characters of a parameter that are indexed
STARRED = ":s"


@dataclass(frozen=True, slots=True)
class Document:
    """The words of an item, its marks, and those of its marks that a person can change."""

    words: TextWords
    fixed_marks: frozenset[str]
    changing_marks: frozenset[str]

    @property
    def marks(self) -> frozenset[str]:
        return self.fixed_marks | self.changing_marks

    @property
    def tokens(self) -> frozenset[str]:
        return self.words.tokens | self.marks


def item_words(mission: Mission, items: Sequence[MissionItem]) -> list[TextWords]:
    """Return the words of items of a mission: texts of parameters, own id, names of uploaded files.

    It takes one statement, and none if the items name no file.
    """
    model = catalog.model_of(mission)
    all_params = [mission.params | item.params for item in items]
    media = [[pk for _name, pk in references.media_ids(model, params)] for params in all_params]
    names: dict[int, str] = {}
    for ids in bulk.batches(sorted({pk for of_item in media for pk in of_item}), 1000):
        names |= MediaFile.objects.filter(pk__in=ids).values_list("pk", "name")
    return [
        words_of([*_texts(model, params), item.custom_id, *(names.get(pk, "") for pk in ids)])
        for item, params, ids in zip(items, all_params, media, strict=True)
    ]


def result_documents(items: Sequence[MissionItem]) -> dict[int, Document]:
    """Return the documents of completed items by their ids. ``items`` have their missions."""
    by_mission: defaultdict[int, list[MissionItem]] = defaultdict(list)
    for item in items:
        by_mission[item.mission_id].append(item)
    words: dict[int, TextWords] = {}
    for group in by_mission.values():
        words |= zip((item.pk for item in group), item_words(group[0].mission, group), strict=True)
    for pk, names in _tags(list(words)).items():
        of_tags = words_of(names)
        words[pk] = TextWords(words[pk].words | of_tags.words, words[pk].pieces | of_tags.pieces)
    marks = changing_marks([item.pk for item in items])
    return {item.pk: Document(words[item.pk], frozenset(_fixed_marks(item)), marks[item.pk]) for item in items}


def changing_marks(item_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """Return the marks of items that a person can change: the star and the tags."""
    marks: dict[int, set[str]] = {pk: set() for pk in item_ids}
    for pk in Output.objects.filter(item__in=item_ids, is_starred=True).order_by().values_list("item", flat=True):
        marks[pk].add(STARRED)
    for pk, names in _tags(item_ids).items():
        marks[pk].update(map(tag_mark, names))
    return {pk: frozenset(of_one) for pk, of_one in marks.items()}


def _tags(item_ids: Sequence[int]) -> dict[int, list[str]]:
    names: defaultdict[int, list[str]] = defaultdict(list)
    for pk, name in ItemTag.objects.filter(item__in=item_ids).order_by().values_list("item", "name"):
        names[pk].append(name)
    return names


def _fixed_marks(item: MissionItem) -> Iterator[str]:
    mission = item.mission
    yield owner_mark(mission.owner_id)
    yield mission_mark(mission.pk)
    yield model_mark(mission.provider, mission.model)
    yield provider_mark(mission.provider)
    yield task_type_mark(mission.task_type)
    if item.custom_id:
        yield custom_id_mark(item.custom_id)


def _texts(model: Model, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts that people write, such as prompts. Negative prompts are left out."""
    files = set(model.file_names(params))
    for name, value in params.items():
        parameter = model.parameter(name)
        is_text = parameter.type is ParameterType.TEXT if parameter else name not in files
        if is_text and isinstance(value, str) and "negative" not in name.lower():
            yield value[:TEXT_LENGTH]


# --- Marks ---


def owner_mark(user_id: int) -> str:
    return f":o{user_id}"


def mission_mark(mission_id: int) -> str:
    return f":n{mission_id}"


def model_mark(provider: str, endpoint: str) -> str:
    return f":m{_digest(f'{provider}:{endpoint}')}"


def provider_mark(provider: str) -> str:
    return f":p{_digest(provider)}"


def task_type_mark(task_type: str) -> str:
    return f":k{task_type}"


def custom_id_mark(custom_id: str) -> str:
    return f":c{_digest(custom_id)}"


def tag_mark(name: str) -> str:
    return f":t{_digest(comparable(name))}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
