"""Items as people see them: with all parameters that they are sent with, and the images among these as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from media.models import MediaFile
from missions import catalog, references
from missions.models import Mission, MissionItem


@dataclass(frozen=True, slots=True)
class Parameter:
    """``files``: the uploaded images that it names; ``value`` is then what else it holds."""

    name: str
    value: str
    files: Sequence[MediaFile] = ()


@dataclass(frozen=True, slots=True)
class ShownItem:
    """``caption`` is what tells an item from the others of its mission."""

    item: MissionItem
    caption: str
    parameters: list[Parameter] = field(default_factory=list)


def shown_items(mission: Mission, items: Sequence[MissionItem]) -> list[ShownItem]:
    """The items with their parameters, in one statement more for all their images together."""
    model = catalog.find_model(mission.model, mission.task_type)
    files = _files(model, mission, items)
    return [_shown(item, model, mission.params | item.params, files) for item in items]


def _files(model: catalog.Model, mission: Mission, items: Sequence[MissionItem]) -> dict[str, MediaFile]:
    wanted = {pk for item in items for _name, pk in references.media_ids(model, mission.params | item.params)}
    found = MediaFile.objects.filter(owner_id=mission.owner_id, pk__in=wanted) if wanted else ()
    return {media.reference: media for media in found}


def _shown(
    item: MissionItem, model: catalog.Model, params: Mapping[str, Any], files: Mapping[str, MediaFile]
) -> ShownItem:
    parameters = [_parameter(name, params[name], files) for name in _in_order(model, params)]
    texts = (parameter.value for parameter in parameters if parameter.name in ("prompt", model.batch_field))
    names = (media.name for parameter in parameters for media in parameter.files)
    return ShownItem(item, next((text for text in (*texts, *names, item.custom_id) if text), ""), parameters)


def _in_order(model: catalog.Model, params: Mapping[str, Any]) -> list[str]:
    """As the catalogue lists them, then what it does not know."""
    known = [field.name for field in model.fields if field.name in params]
    return known + [name for name in params if name not in known]


def _parameter(name: str, value: Any, files: Mapping[str, MediaFile]) -> Parameter:
    entries = [str(entry) for entry in value] if isinstance(value, list) else [str(value)]
    pictures = [files[entry] for entry in entries if entry in files]
    return Parameter(name, "\n".join(entry for entry in entries if entry not in files), pictures)
