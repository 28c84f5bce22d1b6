"""Items as people see them: with all parameters that they are sent with, and the images among these as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from media.models import MediaFile
from missions.models import Mission, MissionItem
from providers import catalog, references
from providers.catalog.labels import parameter_label


@dataclass(frozen=True, slots=True)
class Parameter:
    """``files``: the uploaded images that it names; ``value`` is then what else it holds."""

    name: str
    value: str
    files: Sequence[MediaFile] = ()

    @property
    def label(self) -> str:
        return parameter_label(self.name)


@dataclass(frozen=True, slots=True)
class ShownItem:
    """``caption`` is what tells an item from the others of its mission."""

    item: MissionItem
    caption: str
    parameters: list[Parameter] = field(default_factory=list)


def shown_items(mission: Mission, items: Sequence[MissionItem]) -> list[ShownItem]:
    """The items with their parameters, in one statement more for all their images together."""
    model = catalog.model_of(mission)
    params = [mission.params | item.params for item in items]
    files = _files(model, mission, params)
    return [_shown(item, model, given, files) for item, given in zip(items, params, strict=True)]


def shared_parameters(mission: Mission) -> list[Parameter]:
    """What all items of a mission have in common."""
    model = catalog.model_of(mission)
    return _parameters(model, mission.params, _files(model, mission, [mission.params]))


def _files(model: catalog.Model, mission: Mission, params: Sequence[Mapping[str, Any]]) -> dict[str, MediaFile]:
    wanted = {pk for given in params for _name, pk in references.media_ids(model, given)}
    found = MediaFile.objects.filter(owner_id=mission.owner_id, pk__in=wanted) if wanted else ()
    return {media.reference: media for media in found}


def _shown(
    item: MissionItem, model: catalog.Model, params: Mapping[str, Any], files: Mapping[str, MediaFile]
) -> ShownItem:
    parameters = _parameters(model, params, files)
    texts = (parameter.value for parameter in parameters if parameter.name in ("prompt", model.batch_field))
    names = (media.name for parameter in parameters for media in parameter.files)
    return ShownItem(item, next((text for text in (*texts, *names, item.custom_id) if text), ""), parameters)


def _parameters(model: catalog.Model, params: Mapping[str, Any], files: Mapping[str, MediaFile]) -> list[Parameter]:
    """As the catalogue lists them, then what it does not know."""
    known = [field.name for field in model.parameters if field.name in params]
    unknown = [name for name in params if name not in known]
    return [_parameter(name, params[name], files) for name in known + unknown]


def _parameter(name: str, value: Any, files: Mapping[str, MediaFile]) -> Parameter:
    entries = [_in_words(entry) for entry in (value if isinstance(value, list) else [value])]
    pictures = [files[entry] for entry in entries if entry in files]
    return Parameter(name, "\n".join(entry for entry in entries if entry not in files), pictures)


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return str(value)
