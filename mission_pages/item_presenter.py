"""Items as templates show them: with all parameters, and the images that these name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import prefetch_related_objects
from django.utils.translation import gettext as _

from media.models import MediaFile
from missions.models import Mission, MissionItem
from missions.results.names import source_names
from providers import catalog, references
from providers.catalog import Model
from providers.catalog.labels import choice_label, parameter_label


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
    """An item with its parameters. The caption distinguishes it from others of its mission.

    ``source`` has the names of the photos that it is made from; ``name`` is its own id, or else
    these names; ``text`` its prompt.
    """

    item: MissionItem
    caption: str
    parameters: list[ParameterView] = field(default_factory=list)
    name: str = ""
    text: str = ""
    source: str = ""

    @property
    def tags(self) -> list[str]:
        return [tag.name for tag in self.item.tags.all()]


def present_items(mission: Mission, items: Sequence[MissionItem]) -> list[ItemView]:
    """Return items of a mission with their parameters. Their images take one statement, their tags
    another."""
    for item in items:
        item.mission = mission
    return present_results(items)


def present_results(items: Sequence[MissionItem]) -> list[ItemView]:
    """Return items of several missions as ``present_items`` does. The items have their missions."""
    prefetch_related_objects(items, "tags")
    models = _models(item.mission for item in items)
    all_params = [(item.mission, item.mission.params | item.params) for item in items]
    views = []
    for item, parameters in zip(items, _parameters(all_params, models), strict=True):
        names = ("prompt", models[item.mission_id].batch_field)
        files = source_names(item) or [media.name for parameter in parameters for media in parameter.files]
        text = next((parameter.value for parameter in parameters if parameter.name in names and parameter.value), "")
        source = ", ".join(files)
        name = item.custom_id or source
        views.append(ItemView(item, " · ".join(filter(None, (name, text))), parameters, name, text, source))
    return views


def shared_parameters(mission: Mission) -> list[ParameterView]:
    """Return the parameters that all items of a mission share."""
    return _parameters([(mission, mission.params)], _models([mission]))[0]


def _models(missions: Iterable[Mission]) -> dict[int, Model]:
    """Return the models of missions by the missions' ids."""
    models: dict[int, Model] = {}
    for mission in missions:
        if mission.pk not in models:
            models[mission.pk] = catalog.model_of(mission)
    return models


def _parameters(
    all_params: Sequence[tuple[Mission, Mapping[str, Any]]], models: Mapping[int, Model]
) -> list[list[ParameterView]]:
    """Return the parameters in the order of the catalogue, unknown ones last."""
    media_ids = {pk for mission, params in all_params for _name, pk in references.media_ids(models[mission.pk], params)}
    files = MediaFile.objects.filter(pk__in=media_ids) if media_ids else ()
    by_reference = {(media.owner_id, media.reference): media for media in files}
    result = []
    for mission, params in all_params:
        catalogue_order = [parameter.name for parameter in models[mission.pk].parameters]
        names = [name for name in catalogue_order if name in params]
        names += [name for name in params if name not in catalogue_order]
        views = []
        for name in names:
            values = params[name] if isinstance(params[name], list) else [params[name]]
            texts = [(_("Yes") if value else _("No")) if isinstance(value, bool) else str(value) for value in values]
            parameter = models[mission.pk].parameter(name)
            if parameter and parameter.choices:
                texts = [choice_label(text) for text in texts]
            pictures = {text: media for text in texts if (media := by_reference.get((mission.owner_id, text)))}
            others = "\n".join(text for text in texts if text not in pictures)
            views.append(ParameterView(name, others, [pictures[text] for text in texts if text in pictures]))
        result.append(views)
    return result
