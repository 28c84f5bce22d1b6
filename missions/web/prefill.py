"""What a new form holds before anybody has typed: a template, images, or the copy of another mission; and a file to fill in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from missions.batch_input import columns, composition
from missions.batch_input.composition import Source
from missions.batch_input.tables import Record, Table
from missions.models import Mission
from missions.web.new_mission_form import MissionFormState
from providers import catalog
from providers.catalog import Model, Parameter, ParameterType
from providers.catalog.task_types import TaskType
from providers.parameter_fields import PARAMETER, as_typed
from templates_app.models import MissionTemplate

TYPED_PROMPTS = 2000  # so many prompts of a copied mission are put into the text; more are a table


def prefilled(asked: Mapping[str, str]) -> dict[str, str]:
    """The fields for an address like ``?template=3``, ``?task_type=text_to_video`` or ``?media=1,2``."""
    fields = {name: asked[name] for name in ("task_type", "template") if asked.get(name)}
    if media := [number for number in asked.get("media", "").split(",") if number.isdecimal()]:
        images = "\n".join(f"media:{number}" for number in media)
        return {"task_type": TaskType.IMAGE_TO_IMAGE.value, "images": images} | fields
    return fields


def fields_of_template(template: MissionTemplate) -> dict[str, str]:
    config = template.config if isinstance(template.config, dict) else {}
    params = config.get("params") or {}
    chosen = {"task_type": template.task_type, "model": str(config.get("model") or ""), "template": str(template.pk)}
    return chosen | _parameters(params if isinstance(params, dict) else {})


def _parameters(params: Mapping[str, Any]) -> dict[str, str]:
    return {PARAMETER + name: as_typed(value) for name, value in params.items()}


def copy_of(mission: Mission, *, owner: User, key: str) -> MissionFormState:
    """A form_state with all that a mission was made of: prompts as text where that says everything, a table otherwise."""
    name = _("%(name)s (copy)") % {"name": mission.name[:180]}
    fields = {
        "name": name,
        "description": mission.description,
        "task_type": mission.task_type,
        "model": mission.model,
        "priority": str(mission.priority),
    }
    if mission.spending_limit is not None:
        fields["spending_limit"] = str(mission.spending_limit.normalize())
    form_state = MissionFormState(owner, key, fields | _parameters(mission.params))
    items = list(mission.items.order_by("index").values_list("index", "custom_id", "params"))
    if prompts := _plain_prompts(mission, items):
        form_state.fields |= {"source": Source.PROMPTS.value, "prompts": prompts}
    else:
        form_state.put_table(_table_of(items), mission.name)
        form_state.fields["source"] = Source.FILE.value
    return form_state


def _plain_prompts(mission: Mission, items: list[tuple[int, str, dict[str, Any]]]) -> str:
    """The prompts as lines, if there is nothing else to the items and each is one line."""
    model = catalog.find_model(mission.model, mission.task_type)
    prompt = columns.prompt_field(model)
    if prompt is None or len(items) > TYPED_PROMPTS or Source.PROMPTS not in composition.sources_for(model):
        return ""
    texts = [params.get(prompt.name) for _index, _custom_id, params in items]
    is_plain = all(set(params) == {prompt.name} and not custom_id for _index, custom_id, params in items)
    lines = [text for text in texts if isinstance(text, str) and text == text.strip() and len(text.splitlines()) == 1]
    return "\n".join(lines) if is_plain and len(lines) == len(items) else ""


def _table_of(items: list[tuple[int, str, dict[str, Any]]]) -> Table:
    names = list(dict.fromkeys(name for _index, _custom_id, params in items for name in params))
    if any(custom_id for _index, custom_id, _params in items):
        names.insert(0, columns.CUSTOM_ID)
    records = [
        Record(index, [(params | {columns.CUSTOM_ID: custom_id}).get(name) for name in names])
        for index, custom_id, params in items
    ]
    return Table(records, keys=names)


def sample_of(model: Model) -> tuple[list[str], list[list[object]]]:
    """Columns and two rows for a model: what it needs, and the choices that it offers."""
    fields = [field for field in model.parameters if field.is_required or field.type is ParameterType.CHOICE]
    rows: list[list[object]] = [[f"item-{number}", *(_example(field, number) for field in fields)] for number in (1, 2)]
    return [columns.CUSTOM_ID, *(field.name for field in fields)], rows


def _example(field: Parameter, number: int) -> object:
    match field.type:
        case ParameterType.TEXT:
            return [_("A red fox asleep in fresh snow"), _("A lighthouse on a cliff in a storm")][number - 1]
        case ParameterType.IMAGE | ParameterType.IMAGES:
            return f"photo-{number}.png"
        case ParameterType.CHOICE:
            return field.default or field.choices[0]
    return "" if field.default is None else field.default
