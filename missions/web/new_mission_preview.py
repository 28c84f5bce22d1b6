"""How parts of New mission are shown: images, items as they will be sent, problems with the place that they are about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.translation import gettext as _

from drafts.models import FormDraft
from media.models import MediaFile
from missions.batch_input import columns, importers
from missions.batch_input.composition import RowProblem
from missions.batch_input.tables import Record
from missions.web.forms.new_mission import NewMissionForm
from providers.catalog import Model, ParameterType
from providers.catalog.labels import parameter_label
from providers.parameter_fields import PARAMETER, as_typed

SHOWN_CELL = 120
TITLE = 60


def keep_typing(form: NewMissionForm, changed: Collection[str]) -> None:
    """When the form is drawn anew, a text that somebody goes on typing in stays as it is, unless a button has changed it."""
    for name in ("name", "description", "prompts", "images", "image_prompts"):
        if name not in changed:
            form.fields[name].widget.attrs["data-typed"] = ""


def image_limit(model: Model) -> int:
    """How many images one item may have."""
    field = columns.image_field(model)
    return (field.max_count or 50) if field and field.type is ParameterType.IMAGES else 1


def shown(file: MediaFile) -> dict[str, str]:
    """An uploaded image for a tile."""
    return {"name": file.name, "url": reverse("media:preview", args=[file.key])}


def title_of(draft: FormDraft) -> str:
    """What tells an unfinished form from another: its name, its file, or how its prompts begin."""
    fields = draft.fields
    first = next(iter(importers.lines_of(fields.get("prompts", ""))), (0, ""))[1]
    return fields.get("name", "").strip() or draft.file_name or first[:TITLE]


def images_of(references: Iterable[str], owner: User) -> dict[str, dict[str, Any]]:
    """Name and address of the owner's images, by reference."""
    numbers = {
        int(name.removeprefix("media:")) for name in references if name.startswith("media:") and name[6:].isdecimal()
    }
    files = MediaFile.objects.filter(owner_id=owner.pk, pk__in=[number for number in numbers if number < 2**63])
    return {file.reference: shown(file) for file in files}


def item_as_sent(item: Mapping[str, Any], owner: User) -> dict[str, Any]:
    """An item as it will be sent: its texts, its images, and the rest."""
    images = [name for value in item.values() for name in (value if isinstance(value, list) else [value])]
    files = images_of((name for name in images if isinstance(name, str)), owner)
    texts, pictures, rest = [], [], []
    for name, value in item.items():
        values = value if isinstance(value, list) else [value]
        if any(entry in files for entry in values if isinstance(entry, str)) or isinstance(value, list):
            pictures += [files.get(str(entry), {"name": str(entry)}) for entry in values]
        elif "prompt" in name.lower():
            texts.append(str(value))
        else:
            rest.append((parameter_label(name), value))
    return {"texts": texts, "pictures": pictures, "rest": rest}


def cell_of(record: Record, place: int) -> str:
    value = record.cells[place] if place < len(record.cells) else None
    return "" if value is None else as_typed(value)[:SHOWN_CELL]


def problem_of_row(problem: RowProblem) -> dict[str, Any]:
    """A row's error with the column that it is in, as the file or the model calls it."""
    where = problem.column or (parameter_label(problem.field) if problem.field else "")
    return {"place": problem.place, "where": where, "value": problem.value, "message": problem.message}


def problem_of_form(name: str, message: str) -> dict[str, str]:
    """An error of the form as a whole, with the control that it is about."""
    if name.startswith("params."):
        parameter = name.removeprefix("params.")
        return {"label": parameter_label(parameter), "message": message, "target": f"id_{PARAMETER}{parameter}"}
    labels = {
        "name": _("Name"),
        "description": _("Description"),
        "repeat": _("Repeat each item"),
        "model": _("Model"),
        "spending_limit": _("Spending limit"),
    }
    return {"label": labels.get(name, ""), "message": message, "target": f"id_{name}" if name in labels else "batch"}
