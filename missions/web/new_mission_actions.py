"""Apply the buttons of the new-mission page to its form. None of them spends anything."""

from __future__ import annotations

from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils.translation import gettext as _

from core.storage.disk import OutOfSpace
from media.services import UploadInvalid, store_upload
from missions.batch_input import columns
from missions.batch_input.rows import Source, sources_for
from missions.batch_input.tables import RowsInvalid, lines_of, read_table
from missions.web.new_mission_form import COLUMN, SAVED_NAMES, FormState, model_of, parse
from missions.web.prefill import fields_of_template
from providers.parameter_fields import PARAMETER
from templates_app import services as template_services
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid

EDITABLE_LINES = 2000  # longer text files become tables
SHOWN_ERRORS = 5


def apply_action(state: FormState, action: str, request: HttpRequest) -> None:
    """Change the form as a button says.

    ``remove_image:3`` is an action with an argument; unknown ones do nothing.
    """
    before = dict(state.fields)
    name, _colon, argument = action.partition(":")
    match name:
        case "import":
            _import_file(state, request)
        case "forget_file":
            state.use_table(None)
        case "guess_columns":
            state.drop_fields(COLUMN)
        case "upload_images":
            _upload_images(state, request)
        case "remove_image" if argument.isdecimal():
            _remove_image(state, int(argument))
        case "clear_images":
            state.fields["images"] = ""
        case "clear_prompts":
            state.fields["prompts"] = ""
        case "remove_repeats":
            lines = [line for _number, line in lines_of(state.fields.get("prompts", ""))]
            state.fields["prompts"] = "\n".join(dict.fromkeys(lines))
        case "load_template":
            _load_template(state)
        case "save_template":
            _save_template(state)
    state.changed = frozenset(name for name in SAVED_NAMES if before.get(name) != state.fields.get(name))


def _import_file(state: FormState, request: HttpRequest) -> None:
    """Read a file: short texts become editable prompts, everything else a table."""
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile) or not file.name:
        state.note("warning", _("Choose a file first."))
        return
    try:
        table = read_table(cast(Any, file), name=file.name, owner=state.owner)
    except RowsInvalid as invalid:
        for error in invalid.errors[:SHOWN_ERRORS]:
            state.note("error", f"{file.name}: {error}")
        return
    model = model_of(state.fields, state.owner.pk)
    is_short_text = table.has_plain_lines and len(table.records) <= EDITABLE_LINES
    if is_short_text and Source.PROMPTS in sources_for(model):
        _append_lines(state, "prompts", [str(record.cells[0]) for record in table.records])
        state.fields["source"] = Source.PROMPTS.value
        return
    state.use_table(table, file.name)
    state.fields["source"] = Source.FILE.value
    state.fields.pop("has_header", None)
    if columns.has_header(table, model):
        state.fields["has_header"] = "on"


def _upload_images(state: FormState, request: HttpRequest) -> None:
    """Store the images that came with the form, as browsers without JavaScript send them."""
    references = []
    for file in request.FILES.getlist("image_files"):
        try:
            stored = store_upload(owner=state.owner, file=cast(Any, file), name=file.name or "")
            references.append(stored.media.reference)
        except UploadInvalid as error:
            state.note("error", f"{file.name}: {error}")
        except OutOfSpace as full:
            state.note("error", str(full))
            break
    _append_lines(state, "images", references)


def _remove_image(state: FormState, number: int) -> None:
    """Remove the images of one item, counted from 1, and its prompt."""
    if number < 1:
        return
    entry = parse(state)
    images = [line for _number, line in lines_of(state.fields.get("images", ""))]
    has_line_each = len(entry.batch.image_groups) == len(images)
    size = 1 if has_line_each else entry.form.cleaned_data.get("images_per_item") or 1
    del images[(number - 1) * size : number * size]
    prompts = state.fields.get("image_prompts", "").splitlines()
    del prompts[number - 1 : number]
    state.fields |= {"images": "\n".join(images), "image_prompts": "\n".join(prompts)}


def _append_lines(state: FormState, name: str, lines: list[str]) -> None:
    text = state.fields.get(name, "").strip()
    state.fields[name] = "\n".join([text, *lines] if text else lines)


def _load_template(state: FormState) -> None:
    pk = state.fields.get("template", "")
    templates = MissionTemplate.objects.filter(owner_id=state.owner.pk)
    template = templates.filter(pk=int(pk)).first() if pk.isdecimal() else None
    if template is None:
        state.note("warning", _("Choose a template first."))
        return
    for problem in template_services.template_errors(template):
        state.note("warning", f"{template.name}: {problem.message}")
    state.drop_fields(PARAMETER)
    state.fields |= fields_of_template(template)
    state.note("success", _("Template “%(name)s” loaded.") % {"name": template.name})


def _save_template(state: FormState) -> None:
    """Save the model and the shared parameters under a name.

    Prompts and images are not part of a template.
    """
    entry = parse(state)
    task_type = str(entry.model.task_type.value)
    name = state.fields.get("new_template", "").strip()
    config = {
        "model": entry.model.key if state.fields.get("model") else "",
        "params": entry.params,
        "batch_fields": sorted(entry.batch.row_fields) or [entry.model.batch_field],
    }
    try:
        template_services.create_template(owner=state.owner, name=name, task_type=task_type, config=config)
    except TemplateInvalid as invalid:
        for problem in invalid.errors:
            state.note("error", problem.message)
        state.is_saving_template = True
        return
    state.fields.pop("new_template", None)
    state.note("success", _("Template “%(name)s” saved.") % {"name": name})
