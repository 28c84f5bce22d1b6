"""Apply the buttons of the new-mission page to its form. None of them spends anything."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils.translation import gettext as _

from batch_input import columns
from batch_input.report import InputReport
from batch_input.rows import Source, sources_for
from batch_input.tables import MAX_BYTES, RowsInvalid, Table, lines_of, read_pasted, read_table
from core.storage.disk import OutOfSpace
from drafts import services as drafts
from media import renditions
from media.services import UploadInvalid, store_upload
from mission_pages.new_mission.form import (
    COLUMN,
    DELIMITERS,
    FORMER_PROMPTS,
    FORMER_REPORT,
    INCLUDE_HIDDEN,
    PLAIN_PROMPTS,
    PROMPTS_REPORT,
    SAVED_NAMES,
    FormState,
    has_whole_lines,
    model_of,
    parse,
)
from mission_pages.new_mission.prefill import fields_of_template
from providers.parameter_fields import PARAMETER
from templates_app import services as template_services
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid

KEPT_BYTES = 8 * 1024 * 1024  # larger files have to be chosen again to be read in another way
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
        case "read_again":
            _read_again(state, request)
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
            state.use_prompts("")
            state.drop_fields(FORMER_PROMPTS, FORMER_REPORT, PLAIN_PROMPTS)
        case "undo_import":
            _restore_prompts(state)
        case "keep_both":
            _join_prompts(state)
        case "remove_repeats":
            lines = [line for _number, line in lines_of(state.fields.get("prompts", ""))]
            state.fields["prompts"] = "\n".join(dict.fromkeys(lines))
        case "load_template":
            _load_template(state)
        case "save_template":
            _save_template(state)
    if name != "undo_import":
        _read_pasted_cells(state)
    state.changed = frozenset(name for name in SAVED_NAMES if before.get(name) != state.fields.get(name))


def _import_file(state: FormState, request: HttpRequest) -> None:
    """Read a file: short texts become editable prompts, everything else a table."""
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile) or not file.name:
        state.note("warning", _("Choose a file first."))
        return
    content = file.read(MAX_BYTES + 1)
    try:
        table = read_table(io.BytesIO(content), name=file.name, owner=state.owner)
    except RowsInvalid as invalid:
        for error in invalid.errors[:SHOWN_ERRORS]:
            state.note("error", f"{file.name}: {error}")
        return
    except OutOfSpace as full:
        state.note("error", str(full))
        return
    model = model_of(state.fields, state.owner.pk)
    is_editable = table.has_plain_lines and len(table.records) <= EDITABLE_LINES
    if is_editable and Source.PROMPTS in sources_for(model):
        if state.fields.get("prompts", "").strip():
            state.fields[FORMER_PROMPTS] = state.fields["prompts"]
            state.fields[FORMER_REPORT] = state.fields.get(PROMPTS_REPORT, "")
        state.use_prompts("\n".join(str(record.cells[0]) for record in table.records), table.report)
        state.fields["source"] = Source.PROMPTS.value
        return
    if state.table is not None:
        facts = {"new": file.name, "old": state.file_name}
        state.note("info", _("“%(new)s” replaced “%(old)s”.") % facts)
    _show_table(state, table, file.name, content)


def _read_again(state: FormState, request: HttpRequest) -> None:
    """Read another sheet of the imported file, its hidden rows, or other columns."""
    content = drafts.file_of(owner=state.owner, key=state.key)
    if content is None:
        state.note("warning", _("Choose the file again."))
        return
    include_hidden = bool(request.POST.get(INCLUDE_HIDDEN))
    try:
        table = read_table(
            io.BytesIO(content),
            name=state.file_name,
            sheet=request.POST.get("sheet", ""),
            include_hidden=include_hidden,
            delimiter=DELIMITERS.get(request.POST.get("delimiter", ""), ""),
            owner=state.owner,
        )
    except RowsInvalid as invalid:
        state.note("error", f"{state.file_name}: {invalid.errors[0]}")
        return
    except OutOfSpace as full:
        state.note("error", str(full))
        return
    _show_table(state, table, state.file_name, content)
    if include_hidden:
        state.fields[INCLUDE_HIDDEN] = "on"


def _show_table(state: FormState, table: Table, name: str, content: bytes = b"") -> None:
    """Use a table as the source of the rows. Its file is kept if it can be read in another way."""
    report = table.report
    is_choosable = bool(report.other_sheets or report.hidden or report.delimiter or state.fields.get(INCLUDE_HIDDEN))
    is_kept = (is_choosable or has_whole_lines(table)) and 0 < len(content) <= KEPT_BYTES
    state.use_table(table, name, content if is_kept else None)
    state.fields["source"] = Source.FILE.value
    state.fields.pop("has_header", None)
    if columns.has_header(table, model_of(state.fields, state.owner.pk)):
        state.fields["has_header"] = "on"


def _read_pasted_cells(state: FormState) -> None:
    """Turn cells of a spreadsheet that were pasted into the prompts into a table."""
    text = state.fields.get("prompts", "")
    source = state.fields.get("source") or Source.PROMPTS.value
    if not text or source != Source.PROMPTS or state.fields.get(PLAIN_PROMPTS):
        return
    if Source.PROMPTS not in sources_for(model_of(state.fields, state.owner.pk)):
        return
    try:
        table = read_pasted(text)
    except RowsInvalid as invalid:
        state.note("error", str(invalid.errors[0]))
        return
    if table is not None:
        state.fields |= {FORMER_PROMPTS: text, FORMER_REPORT: state.fields.get(PROMPTS_REPORT, "")}
        state.use_prompts("")
        _show_table(state, table, _("Pasted cells"))


def _restore_prompts(state: FormState) -> None:
    """Bring back the prompts that a file replaced, or the text of cells that became a table."""
    report = state.fields.get(FORMER_REPORT)
    state.use_prompts(
        state.fields.get(FORMER_PROMPTS, ""), InputReport.from_json(json.loads(report)) if report else None
    )
    if state.table is not None and state.table.report.kind == "pasted":
        state.use_table(None)
        state.fields[PLAIN_PROMPTS] = "on"
    state.fields["source"] = Source.PROMPTS.value
    state.drop_fields(FORMER_PROMPTS, FORMER_REPORT)


def _join_prompts(state: FormState) -> None:
    """Put the prompts that a file replaced before those of the file."""
    former, added = state.fields.get(FORMER_PROMPTS, "").strip(), state.prompts_report or InputReport()
    report = state.fields.get(FORMER_REPORT)
    names = [InputReport.from_json(json.loads(report)).name] if report else []
    joined = replace(added, name=", ".join([*names, added.name]))
    state.use_prompts("\n".join([former, state.fields.get("prompts", "")]), joined)
    state.drop_fields(FORMER_PROMPTS, FORMER_REPORT)


def _upload_images(state: FormState, request: HttpRequest) -> None:
    """Store the images that came with the form, as browsers without JavaScript send them."""
    references = []
    for file in request.FILES.getlist("image_files"):
        try:
            stored = store_upload(owner=state.owner, file=cast(Any, file), name=file.name or "")
            references.append(stored.media.reference)
            if notes := renditions.notes(stored.media):
                state.note("info", f"{file.name}: {' '.join(notes)}")
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
        "file_name_pattern": entry.file_name_pattern,
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
