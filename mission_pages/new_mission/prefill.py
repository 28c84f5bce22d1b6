"""Fill a new form from a template, images or another mission; make sample files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from batch_input.columns import image_field, prompt_field
from batch_input.headings import CUSTOM_ID
from batch_input.report import InputReport
from batch_input.rows import Source, sources_for
from batch_input.tables import SEPARATOR, Record, Table
from core.file_names import pattern_problem
from mission_pages.new_mission.form import MAX_REPEAT, FormState
from missions.models import ItemStatus, Mission, MissionItem, Output, OutputStatus
from missions.results.names import PLACEHOLDERS
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
        "file_name_pattern": str(config.get("file_name_pattern") or ""),
    } | fields_of_params(params if isinstance(params, dict) else {})


def fields_of_params(params: Mapping[str, Any]) -> dict[str, str]:
    return {PARAMETER + name: as_typed(value) for name, value in params.items()}


def copy_mission(mission: Mission, state: FormState) -> None:
    """Fill a form with the contents of a mission.

    The items become what they were made from: lines of prompts, images with one prompt for all or
    one each, or prompts × images; otherwise a table. New versions of results are left out.
    """
    state.fields |= {
        "name": _("%(name)s (copy)") % {"name": mission.name[:180]},
        "description": mission.description,
        "task_type": mission.task_type,
        "model": catalog.model_of(mission).key,
        "priority": str(min(max(mission.priority, -1), 1) * 10),
    }
    if mission.run_first:
        state.fields |= {"has_first": "on", "run_first": str(mission.run_first)}
    if mission.spending_limit is not None:
        state.fields["spending_limit"] = str(mission.spending_limit.normalize())
    state.fields |= fields_of_params(mission.params)
    if mission.file_name_pattern and not pattern_problem(mission.file_name_pattern, PLACEHOLDERS):
        state.fields["file_name_pattern"] = mission.file_name_pattern

    items = list(mission.items.filter(first_index=None).order_by("index").values_list("index", "custom_id", "params"))
    model = catalog.model_of(mission)
    if len(items) <= EDITABLE_PROMPTS and not any(custom_id for _index, custom_id, _params in items):
        rows = [params for _index, _custom_id, params in items]
        repeat = _repeats(rows)
        fields = _fields_of_rows(model, mission.params, rows[: len(rows) // repeat])
        if fields is not None:
            state.fields |= fields | {"repeat": str(repeat)}
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


def _repeats(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how often all rows are repeated as a whole."""
    for size in range(1, len(rows) // 2 + 1):
        count, rest = divmod(len(rows), size)
        if not rest and count <= MAX_REPEAT and rows[size] == rows[0] and list(rows) == list(rows[:size]) * count:
            return count
    return 1


def _fields_of_rows(model: Model, shared: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, str] | None:
    """Return the fields from which these rows were made, or None if only a table can hold them."""
    prompt, image = prompt_field(model), image_field(model)
    sources = sources_for(model)
    own = {field.name for field in (prompt, image) if field is not None}
    if not rows or any(not params.keys() <= own for params in rows):
        return None
    values = [(shared | params).get(prompt.name) if prompt else None for params in rows]
    has_one_prompt = all(value == values[0] for value in values) and isinstance(values[0], str | None)
    prompts = [_prompt_line((shared | params).get(prompt.name) if prompt else "") for params in rows]
    pictures = [_image_line((shared | params).get(image.name) if image else None) for params in rows]
    if None in pictures or (None in prompts and not (has_one_prompt and all(pictures))):
        return None
    texts, images = [str(text) for text in prompts], [str(line) for line in pictures]
    unique_texts, unique_images = list(dict.fromkeys(texts)), list(dict.fromkeys(images))
    if not any(images):
        if Source.PROMPTS not in sources or not all(texts):
            return None
        return {"source": Source.PROMPTS.value, "prompts": "\n".join(texts)}
    if not all(images):
        return None
    fields = {"images": "\n".join(images), PARAMETER + (image.name if image else ""): ""}
    if has_one_prompt and Source.IMAGES in sources:
        one = {PARAMETER + prompt.name: str(values[0] or "")} if prompt else {}
        return fields | {"source": Source.IMAGES.value, "prompt_each": ""} | one
    product = [(text, line) for text in unique_texts for line in unique_images]
    if product == list(zip(texts, images, strict=True)) and Source.COMBINATIONS in sources and all(texts):
        source = {"source": Source.COMBINATIONS.value, "images": "\n".join(unique_images)}
        return fields | source | {"prompts": "\n".join(unique_texts)}
    if Source.IMAGES not in sources:
        return None
    return fields | {"source": Source.IMAGES.value, "prompt_each": "each", "image_prompts": "\n".join(texts)}


def _prompt_line(value: Any) -> str | None:
    """Return a prompt as a line of the form; None if it is none."""
    if value is None:
        return ""
    is_line = isinstance(value, str) and ([value] == value.strip().splitlines() or not value)
    return value if is_line else None


def _image_line(value: Any) -> str | None:
    """Return the images of an item as a line of the form; None if it is none."""
    names = value if isinstance(value, list) else [value] if value else []
    if not all(isinstance(name, str) and name and not set(name) & set("|\r\n") for name in names):
        return None
    return f" {SEPARATOR} ".join(names)


def use_results(items: QuerySet[MissionItem], task_type: str, state: FormState) -> int:
    """Fill a form with the pictures of results, each with the prompt that it was made with.

    Return their number. ``task_type`` is what is made of them: another type than images to images
    or to videos is images to images.
    """
    types = (TaskType.IMAGE_TO_IMAGE.value, TaskType.IMAGE_TO_VIDEO.value)
    pictures = Output.objects.filter(
        item__in=items.filter(status=ItemStatus.COMPLETED).order_by().values("pk"),
        status=OutputStatus.STORED,
        content_type__startswith="image/",
    ).exclude(file="")
    images, prompts = [], []
    prompt_names: dict[int, str | None] = {}  # of each mission
    order = ("item__mission", "item__index", "attempt", "index")
    for output in pictures.select_related("item__mission").order_by(*order):
        mission = output.item.mission
        if mission.pk not in prompt_names:
            model = catalog.model_of(mission)
            prompt = prompt_field(model)
            prompt_names[mission.pk] = prompt.name if prompt else model.batch_field
        params = mission.params | output.item.params
        images.append(output.reference)
        prompts.append(" ".join(str(params.get(prompt_names[mission.pk]) or "").split()))
    if images:
        state.fields |= {
            "task_type": task_type if task_type in types else types[0],
            "source": Source.IMAGES.value,
            "images": "\n".join(images),
            "prompt_each": "each",
            "image_prompts": "\n".join(prompts),
        }
    return len(images)


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
