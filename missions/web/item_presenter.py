"""Items as templates show them: with all parameters, and the images that these name."""

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
class ParameterView:
    """A parameter as text.

    ``files`` are the uploaded images that it names; ``value`` is the rest.
    """

    name: str
    value: str
    files: Sequence[MediaFile] = ()

    @property
    def label(self) -> str:
        return parameter_label(self.name)


@dataclass(frozen=True, slots=True)
class ItemView:
    """An item with its parameters. The caption distinguishes it from others of its mission."""

    item: MissionItem
    caption: str
    parameters: list[ParameterView] = field(default_factory=list)


def present_items(mission: Mission, items: Sequence[MissionItem]) -> list[ItemView]:
    """Return the items with their parameters. All their images together take one statement."""
    model = catalog.model_of(mission)
    views = []
    for item, parameters in zip(
        items, _parameters(mission, [mission.params | item.params for item in items]), strict=True
    ):
        texts = [parameter.value for parameter in parameters if parameter.name in ("prompt", model.batch_field)]
        file_names = [media.name for parameter in parameters for media in parameter.files]
        caption = next((text for text in (*texts, *file_names, item.custom_id) if text), "")
        views.append(ItemView(item, caption, parameters))
    return views


def shared_parameters(mission: Mission) -> list[ParameterView]:
    """Return the parameters that all items of a mission share."""
    return _parameters(mission, [mission.params])[0]


def _parameters(mission: Mission, all_params: Sequence[Mapping[str, Any]]) -> list[list[ParameterView]]:
    """Return the parameters in the order of the catalogue, unknown ones last."""
    model = catalog.model_of(mission)
    media_ids = {pk for params in all_params for _name, pk in references.media_ids(model, params)}
    files = MediaFile.objects.filter(owner_id=mission.owner_id, pk__in=media_ids) if media_ids else ()
    by_reference = {media.reference: media for media in files}
    catalogue_order = [parameter.name for parameter in model.parameters]
    result = []
    for params in all_params:
        names = [name for name in catalogue_order if name in params]
        names += [name for name in params if name not in catalogue_order]
        views = []
        for name in names:
            values = params[name] if isinstance(params[name], list) else [params[name]]
            texts = [(_("Yes") if value else _("No")) if isinstance(value, bool) else str(value) for value in values]
            pictures = [by_reference[text] for text in texts if text in by_reference]
            views.append(ParameterView(name, "\n".join(text for text in texts if text not in by_reference), pictures))
        result.append(views)
    return result
