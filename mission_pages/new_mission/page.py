"""The template context of the new-mission page."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from batch_input.delimited import WHOLE_LINES
from batch_input.tables import lines_of
from drafts.models import FormDraft
from media.models import MediaFile
from mission_pages.new_mission.form import (
    ALSO,
    DELIMITER_LABELS,
    DELIMITERS,
    FORMER_PROMPTS,
    HAS_FILE,
    INCLUDE_HIDDEN,
    SEVERAL,
    FormState,
    MissionEntry,
    has_whole_lines,
)
from mission_pages.new_mission.preview import Preview
from missions import selectors
from missions.links import thumbnail_url
from missions.models import Output
from missions.results import names
from providers import catalog, provider_accounts
from providers.catalog import ParameterType
from providers.catalog.labels import choice_label, parameter_label
from providers.parameter_fields import PARAMETER, as_typed
from providers.references import MEDIA, OUTPUT
from templates_app.models import MissionTemplate

SHOWN_TILES = 48  # images; the others are counted
SHOWN_PROMPT_TILES = 200  # where each has a field for its prompt
SHOWN_ROW_PROBLEMS = 20
SAMPLE_ROWS = 3  # of an imported file
MAX_CELL_LENGTH = 120
MAX_TITLE_LENGTH = 60


def page_context(state: FormState, entry: MissionEntry, preview: Preview) -> dict[str, Any]:
    """Return everything that the templates of the page show."""
    model, batch, form = entry.model, entry.batch, entry.form
    form.fields["file_name_pattern"].widget.attrs |= {
        "placeholder": preview.draft.file_name_pattern if preview.draft else "",
        "spellcheck": "false",
    }
    typed = (
        "name",
        "description",
        "prompts",
        "images",
        "image_prompts",
        "text_before",
        "text_after",
        "file_name_pattern",
    )
    for name in typed:
        if name not in state.changed:  # new_mission.js keeps what is typed during a redraw
            form.fields[name].widget.attrs["data-typed"] = ""

    prompt, image = batch.prompt, batch.image
    shared = list(entry.parameters_form)
    shared_prompt = next((bound for bound in shared if prompt and bound.name == PARAMETER + prompt.name), None)
    lengths = [len(text) for _line, text in batch.prompts]
    takes_several = image is not None and image.type is ParameterType.IMAGES
    missing: list[int] = []  # the images without a prompt: one sentence for all
    row_problems = preview.row_problems
    if batch.image_prompts is not None and prompt is not None:
        texts = [*batch.image_prompts, *[""] * len(batch.image_groups)]
        without = {number for number, text in enumerate(texts[: len(batch.image_groups)], start=1) if not text}
        missing = sorted({each.origin.image for each in row_problems if each.field == prompt.name} & without)
        hidden = set(missing)
        row_problems = [each for each in row_problems if each.field != prompt.name or each.origin.image not in hidden]
    allowance = selectors.budget_left(state.owner.pk, now=timezone.now()) if model.currency else None
    return {
        "allowance": allowance,
        "balances": _balances(entry, preview),
        "state": state,
        "entry": entry,
        "form": form,
        "preview": preview,
        "task_types": catalog.offered_task_types(),
        "models": [(model, model.price_text) for model in catalog.all_models(model.task_type, owner_id=state.owner.pk)],
        "price": model.price_text,
        "successor": catalog.get_model(model.successor, model.provider) if model.successor else None,
        "placeholders": preview.draft.placeholders if preview.draft else names.PLACEHOLDERS,
        "several": _several(entry),
        "variations": [
            (parameter_label(name), [choice_label(value) for value in values])
            for name, values in entry.variations.items()
        ],
        "also": _also(state, entry),
        "templates": MissionTemplate.objects.filter(owner_id=state.owner.pk).order_by("name"),
        "sources": entry.sources,
        "shared_prompt": shared_prompt,
        "parameters": [bound for bound in shared if bound is not shared_prompt],
        "prompt_count": len(lengths),
        "longest_prompt": max(lengths, default=0),
        "max_prompt_length": prompt.max_length if prompt else None,
        "image_limit": (image.max_count or 50) if image and takes_several else 1,
        "tiles": _tiles(entry),
        "row_count": batch.row_count,
        "former_count": len(list(lines_of(state.fields.get(FORMER_PROMPTS, "")))),
        "sample_rows": _sample_rows(state, entry),
        "reading": _reading_choices(state),
        "missing_prompts": missing,
        "row_problem_count": len(row_problems),
        "problems": [_problem_with_target(error.field, error.message) for error in preview.problems],
        "row_problems": [
            {
                "origin": problem.origin,
                "column": problem.column or (parameter_label(problem.field) if problem.field else ""),
                "value": problem.value,
                "message": problem.message,
            }
            for problem in row_problems[:SHOWN_ROW_PROBLEMS]
        ],
        "first_items": [_item_as_sent(params, state.owner) for params in preview.first_items],
        "further_count": max(preview.count - len(preview.first_items), 0),
    }


def _balances(entry: MissionEntry, preview: Preview) -> list[provider_accounts.Balances]:
    """Return the stored balances at the provider of each model, for what its missions cost."""
    prices: dict[tuple[str, str], Decimal | None] = {}
    for each in preview.all:
        key = (each.entry.model.provider, each.currency)
        price = prices.get(key, Decimal(0))
        prices[key] = None if price is None or each.estimate is None else price + each.estimate
    found = [
        provider_accounts.balances(provider, entry.owner, price=price, currency=currency)
        for (provider, currency), price in prices.items()
        if currency
    ]
    return [each for each in found if each]


def _several(entry: MissionEntry) -> list[dict[str, Any]]:
    """Return the choices of which several values can be ticked, with a box for each value."""
    return [
        {
            "label": parameter_label(field.name),
            "boxes": [
                {
                    "name": f"{SEVERAL}{field.name}-{choice}",
                    "label": choice_label(choice),
                    "checked": choice in entry.variations.get(field.name, ()),
                }
                for choice in field.choices
            ],
        }
        for field in entry.model.parameters
        if field.type is ParameterType.CHOICE and field.name not in entry.batch.row_fields and len(field.choices) > 1
    ]


def _also(state: FormState, entry: MissionEntry) -> list[dict[str, Any]]:
    """Return a box for each other model of the same type."""
    models = catalog.all_models(entry.model.task_type, owner_id=state.owner.pk)
    chosen = {model.key for model in entry.also}
    return [
        {"name": ALSO + model.key, "label": model.label, "price": model.price_text, "checked": model.key in chosen}
        for model in models
        if model.key != entry.model.key
    ]


def library_image(file: MediaFile) -> dict[str, str]:
    """Return an uploaded image as a tile shows it."""
    return {"name": file.name, "url": reverse("media:preview", args=[file.key]), "reference": file.reference}


def title_of(draft: FormDraft) -> str:
    """Return the name of a draft, else its file or its first prompt, else ""."""
    _line, prompt = next(lines_of(draft.fields.get("prompts", "")), (0, ""))
    return draft.fields.get("name", "").strip() or draft.file_name or prompt[:MAX_TITLE_LENGTH]


def has_content(draft: FormDraft) -> bool:
    """Return True if a person has entered more into a draft than choices: texts, images or rows."""
    names = ("name", "description", "prompts", "images", "image_prompts", "text_before", "text_after")
    texts = [draft.file_name, *(draft.fields.get(name, "") for name in names)]
    texts += [text for name, text in draft.fields.items() if name.startswith(PARAMETER) and "prompt" in name.lower()]
    return any(text.strip() for text in texts)


def _images_by_reference(references: Iterable[str], owner: User) -> dict[str, dict[str, str]]:
    """Return the owner's images (``media:ID``) and results (``output:ITEM/N``) of these names."""
    names = set(references)
    pks = [int(match[1]) for name in names if (match := MEDIA.fullmatch(name))]
    files = MediaFile.objects.filter(owner_id=owner.pk, pk__in=pks) if pks else ()
    images = {file.reference: library_image(file) for file in files}
    item_ids = {int(match[1]) for name in names if (match := OUTPUT.fullmatch(name))}
    outputs = Output.objects.filter(item__in=item_ids, item__mission__owner=owner.pk).exclude(thumbnail="")
    for output in outputs.select_related("item__mission").order_by("attempt") if item_ids else ():
        facts = {"mission": output.item.mission.name, "number": output.item.place}
        name = _("%(mission)s, result %(number)d") % facts
        images[output.reference] = {"name": name, "url": thumbnail_url(output), "reference": output.reference}
    return images


def _tiles(entry: MissionEntry) -> dict[str, Any]:
    """Return the first images of the batch, each with its prompt, and how many there are."""
    groups = entry.batch.image_groups
    limit = SHOWN_PROMPT_TILES if entry.has_prompt_each else SHOWN_TILES
    images = _images_by_reference((name for group in groups[:limit] for name in group), entry.owner)
    prompts = entry.batch.image_prompts or []
    tiles = [
        {
            "number": number,
            "images": [images.get(name, {"name": name}) for name in group],
            "prompt": prompts[number - 1] if number <= len(prompts) else "",
        }
        for number, group in enumerate(groups[:limit], start=1)
    ]
    key = hashlib.sha256(repr((entry.has_prompt_each, groups)).encode()).hexdigest()[:16]
    return {"shown": tiles, "count": len(groups), "further_count": max(len(groups) - limit, 0), "key": key}


def _reading_choices(state: FormState) -> dict[str, Any]:
    """Return in which other ways the imported file can be read: sheets, hidden rows, separators."""
    if state.table is None or not state.fields.get(HAS_FILE):
        return {}
    report = state.table.report
    if report.sheet:
        include_hidden = bool(state.fields.get(INCLUDE_HIDDEN))
        sheets = [report.sheet, *report.other_sheets] if report.other_sheets else []
        return {"sheets": sheets, "has_hidden": report.hidden or include_hidden, "include_hidden": include_hidden}
    current = WHOLE_LINES if has_whole_lines(state.table) else report.delimiter
    chosen = next((word for word, delimiter in DELIMITERS.items() if delimiter == current), "")
    return {"delimiters": DELIMITER_LABELS.items(), "delimiter": chosen}


def _sample_rows(state: FormState, entry: MissionEntry) -> list[list[str]]:
    """Return the first rows of the imported file, with one cell per column."""
    imported = entry.batch.imported
    if imported is None or entry.columns_form is None:
        return []
    rows = []
    for record in imported.records[:SAMPLE_ROWS]:
        width = len(entry.columns_form.fields)
        cells = ["" if cell is None else as_typed(cell)[:MAX_CELL_LENGTH] for cell in record.cells[:width]]
        rows.append(cells + [""] * (width - len(cells)))
    return rows


def _item_as_sent(params: Mapping[str, Any], owner: User) -> dict[str, Any]:
    """Return the parameters of an item as its texts, its images and the others."""
    values = {name: value if isinstance(value, list) else [value] for name, value in params.items()}
    files = _images_by_reference(
        (entry for entries in values.values() for entry in entries if isinstance(entry, str)), owner
    )
    texts, images, others = [], [], []
    for name, entries in values.items():
        if isinstance(params[name], list) or any(isinstance(entry, str) and entry in files for entry in entries):
            images += [files.get(str(entry), {"name": str(entry)}) for entry in entries]
        elif "prompt" in name.lower():
            texts.append(str(params[name]))
        else:
            value = params[name]
            others.append((parameter_label(name), choice_label(value) if isinstance(value, str) else value))
    return {"texts": texts, "images": images, "others": others}


def _problem_with_target(name: str, message: str) -> dict[str, str]:
    """Return a problem of the whole form with the label and the id of its control."""
    if name.startswith("params."):
        parameter = name.removeprefix("params.")
        return {"label": parameter_label(parameter), "message": message, "target": f"id_{PARAMETER}{parameter}"}
    labels = {
        "name": _("Name"),
        "description": _("Description"),
        "repeat": _("Repeat each item"),
        "model": _("Model"),
        "spending_limit": _("Spending limit"),
        "file_name_pattern": _("File names"),
    }
    return {"label": labels.get(name, ""), "message": message, "target": f"id_{name}" if name in labels else "batch"}
