"""Fill a new form from a template, images or another mission; make sample files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from batch_input.columns import prompt_field
from batch_input.headings import CUSTOM_ID
from batch_input.report import InputReport
from batch_input.rows import Source, sources_for
from batch_input.tables import Record, Table
from missions.models import ItemStatus, Mission, Output, OutputStatus
from missions.web.new_mission_form import FormState
from providers import catalog
from providers.catalog import Model, ParameterType
from providers.catalog.task_types import TaskType
from providers.parameter_fields import PARAMETER, as_typed
from templates_app.models import MissionTemplate

EDITABLE_PROMPTS = 2000  # missions with more prompts become tables


def fields_of_query(query: Mapping[str, str]) -> dict[str, str]:
    """Return the fields for ``?template=3``, ``?task_type=text_to_video`` or ``?media=1,2``."""
    fields = {name: query[name] for name in ("task_type", "template") if query.get(name)}
    pks = [pk for pk in query.get("media", "").split(",") if pk.isdecimal()]
    if pks:
        images = "\n".join(f"media:{pk}" for pk in pks)
        return {"task_type": TaskType.IMAGE_TO_IMAGE.value, "images": images} | fields
    return fields


def fields_of_template(template: MissionTemplate) -> dict[str, str]:
    """Return the model and the parameters of a template."""
    config = template.config if isinstance(template.config, dict) else {}
    params = config.get("params")
    return {
        "task_type": template.task_type,
        "model": str(config.get("model") or ""),
        "template": str(template.pk),
    } | fields_of_params(params if isinstance(params, dict) else {})


def fields_of_params(params: Mapping[str, Any]) -> dict[str, str]:
    return {PARAMETER + name: as_typed(value) for name, value in params.items()}


def copy_mission(mission: Mission, state: FormState) -> None:
    """Fill a form with the contents of a mission.

    The items become lines of prompts if each of them is a prompt of one line and nothing else;
    otherwise a table.
    """
    state.fields |= {
        "name": _("%(name)s (copy)") % {"name": mission.name[:180]},
        "description": mission.description,
        "task_type": mission.task_type,
        "model": catalog.model_of(mission).key,
        "priority": str(mission.priority),
    }
    if mission.spending_limit is not None:
        state.fields["spending_limit"] = str(mission.spending_limit.normalize())
    state.fields |= fields_of_params(mission.params)

    items = list(mission.items.order_by("index").values_list("index", "custom_id", "params"))
    model = catalog.model_of(mission)
    prompt = prompt_field(model)
    if prompt and len(items) <= EDITABLE_PROMPTS and Source.PROMPTS in sources_for(model):
        texts = [params.get(prompt.name) for _index, _custom_id, params in items]
        lines = [text for text in texts if isinstance(text, str) and [text] == text.strip().splitlines()]
        has_only_prompts = all(set(params) == {prompt.name} and not custom_id for _index, custom_id, params in items)
        if lines and has_only_prompts and len(lines) == len(items):
            state.fields |= {"source": Source.PROMPTS.value, "prompts": "\n".join(lines)}
            return

    names = list(dict.fromkeys(name for _index, _custom_id, params in items for name in params))
    if any(custom_id for _index, custom_id, _params in items):
        names.insert(0, CUSTOM_ID)
    records = [
        Record(index, [custom_id if name == CUSTOM_ID else params.get(name) for name in names])
        for index, custom_id, params in items
    ]
    report = InputReport(name=mission.name, kind="mission", lines=len(records), rows=len(records))
    state.use_table(Table(records, keys=names, report=report), mission.name)
    state.fields["source"] = Source.FILE.value


def use_results(mission: Mission, indexes: Sequence[int], task_type: str, state: FormState) -> bool:
    """Fill a form with the pictures of results, each with the prompt that it was made with.

    Return False if there is none. ``task_type`` is what is made of them: another type than images
    to images or to videos is images to images.
    """
    types = (TaskType.IMAGE_TO_IMAGE.value, TaskType.IMAGE_TO_VIDEO.value)
    pictures = Output.objects.filter(
        item__mission=mission,
        item__index__in=indexes,
        item__status=ItemStatus.COMPLETED,
        status=OutputStatus.STORED,
        content_type__startswith="image/",
    ).exclude(file="")
    model = catalog.model_of(mission)
    prompt = prompt_field(model)
    images, prompts = [], []
    for output in pictures.select_related("item").order_by("item__index", "attempt", "index"):
        params = mission.params | output.item.params
        images.append(output.reference)
        prompts.append(" ".join(str(params.get(prompt.name if prompt else model.batch_field) or "").split()))
    if not images:
        return False
    state.fields |= {
        "task_type": task_type if task_type in types else types[0],
        "source": Source.IMAGES.value,
        "images": "\n".join(images),
        "prompt_each": "each",
        "image_prompts": "\n".join(prompts),
    }
    return True


def sample_of(model: Model) -> tuple[list[str], list[list[object]]]:
    """Return columns and two rows for a sample file: required fields and choices."""
    fields = [field for field in model.parameters if field.is_required or field.type is ParameterType.CHOICE]
    prompts = [_("A red fox asleep in fresh snow"), _("A lighthouse on a cliff in a storm")]
    rows: list[list[object]] = []
    for number, prompt in enumerate(prompts, start=1):
        row: list[object] = [f"item-{number}"]
        for field in fields:
            if field.type is ParameterType.TEXT:
                row.append(prompt)
            elif field.is_file:
                row.append(f"photo-{number}.png")
            elif field.type is ParameterType.CHOICE:
                row.append(field.default or field.choices[0])
            else:
                row.append("" if field.default is None else field.default)
        rows.append(row)
    return [CUSTOM_ID, *(field.name for field in fields)], rows
