"""What the buttons of New mission do to what lies on the form_state.  None of them spends anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils.translation import gettext as _

from media.services import UploadInvalid, store_upload
from missions.batch_input import columns, composition, importers
from missions.batch_input.composition import Source
from missions.batch_input.importers import RowsInvalid
from missions.batch_input.tables import Table, read_table
from missions.web.forms.new_mission import COLUMN, Entered, model_of
from missions.web.new_mission_form import NAMES, MissionFormState
from missions.web.prefill import fields_of_template
from providers.parameter_fields import PARAMETER
from templates_app import rules
from templates_app import services as template_services
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid

TYPED_LINES = 2000  # so many lines of a file become prompts that can be edited; more are a table


def act(form_state: MissionFormState, action: str, request: HttpRequest) -> None:
    """Do what a button says to the fields.  ``remove_image:3`` is an action with an argument."""
    name, _colon, argument = action.partition(":")
    verb = _ACTIONS.get(name)
    if verb is None:
        return
    before = dict(form_state.fields)
    verb(form_state, request, argument)
    form_state.changed = frozenset(name for name in NAMES if before.get(name) != form_state.fields.get(name))


def _import_file(form_state: MissionFormState, request: HttpRequest, _argument: str) -> None:
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile) or not file.name:
        form_state.say("warning", _("Choose a file first."))
        return
    try:
        table = read_table(cast(Any, file), name=file.name)
    except RowsInvalid as invalid:
        for error in invalid.errors[:5]:
            form_state.say("error", f"{file.name}: {error}")
        return
    _put(form_state, table, file.name)


def _put(form_state: MissionFormState, table: Table, name: str) -> None:
    """Use a file: plain lines become prompts that can be edited, everything else a table with columns."""
    model = model_of(form_state.fields)
    is_text = name.lower().endswith(".txt") and len(table.records) <= TYPED_LINES
    if is_text and Source.PROMPTS in composition.sources_for(model):
        lines = [str(record.cells[0]) for record in table.records]
        form_state.fields["prompts"] = "\n".join(
            [*filter(None, [form_state.fields.get("prompts", "").strip()]), *lines]
        )
        form_state.fields["source"] = Source.PROMPTS.value
        return
    form_state.put_table(table, name)
    form_state.fields["source"] = Source.FILE.value
    _set(form_state, "has_header", columns.has_header(table, model))


def _set(form_state: MissionFormState, name: str, value: bool) -> None:
    form_state.fields.pop(name, None)
    if value:
        form_state.fields[name] = "on"


def _forget_file(form_state: MissionFormState, _request: HttpRequest, _argument: str) -> None:
    form_state.put_table(None)


def _guess_columns(form_state: MissionFormState, _request: HttpRequest, _argument: str) -> None:
    form_state.forget(COLUMN)


def _upload_images(form_state: MissionFormState, request: HttpRequest, _argument: str) -> None:
    """Without JavaScript: the images that came with the form."""
    stored = []
    for file in request.FILES.getlist("image_files"):
        try:
            stored.append(
                store_upload(owner=form_state.owner, file=cast(Any, file), name=file.name or "").media.reference
            )
        except UploadInvalid as error:
            form_state.say("error", f"{file.name}: {error}")
    before = form_state.fields.get("images", "").strip()
    form_state.fields["images"] = "\n".join([*filter(None, [before]), *stored])


def _remove_image(form_state: MissionFormState, _request: HttpRequest, argument: str) -> None:
    """Take one item's images out, and its prompt with them."""
    if not argument.isdecimal():
        return
    entered = Entered(form_state.fields, owner=form_state.owner)
    groups = composition.image_groups(entered.entry)
    number = int(argument)
    per_item = max(entered.entry.images_per_item, 1)
    is_line = len(groups) == len(list(importers.lines_of(form_state.fields.get("images", ""))))
    lines = [number] if is_line else range((number - 1) * per_item + 1, number * per_item + 1)
    for line in sorted(lines, reverse=True):
        form_state.fields["images"] = composition.without_image(form_state.fields.get("images", ""), line)
    texts = form_state.fields.get("image_prompts", "").splitlines()
    form_state.fields["image_prompts"] = "\n".join(text for place, text in enumerate(texts, start=1) if place != number)


def _clear_images(form_state: MissionFormState, _request: HttpRequest, _argument: str) -> None:
    form_state.fields["images"] = ""


def _clear_prompts(form_state: MissionFormState, _request: HttpRequest, _argument: str) -> None:
    form_state.fields["prompts"] = ""


def _remove_repeats(form_state: MissionFormState, _request: HttpRequest, _argument: str) -> None:
    form_state.fields["prompts"] = composition.without_repeats(form_state.fields.get("prompts", ""))


def _load_template(form_state: MissionFormState, _request: HttpRequest, _argument: str) -> None:
    number = form_state.fields.get("template", "")
    template = (
        MissionTemplate.objects.filter(owner_id=form_state.owner.pk, pk=int(number)).first()
        if number.isdecimal()
        else None
    )
    if template is None:
        form_state.say("warning", _("Choose a template first."))
        return
    for problem in rules.problems(template):
        form_state.say("warning", f"{template.name}: {problem.message}")
    form_state.forget(PARAMETER)
    form_state.fields |= fields_of_template(template)
    form_state.say("success", _("“%(name)s” is loaded.") % {"name": template.name})


def _save_template(form_state: MissionFormState, _request: HttpRequest, _argument: str) -> None:
    """Save the model and its parameters under a name; prompts and images are not part of it."""
    entered = Entered(form_state.fields, owner=form_state.owner, table=form_state.table)
    name = form_state.fields.get("new_template", "").strip()
    try:
        config = rules.clean_config(owner=form_state.owner, task_type=entered.task_type, config=entered.template_config)
        template_services.create_template(owner=form_state.owner, name=name, task_type=entered.task_type, config=config)
    except TemplateInvalid as invalid:
        for problem in invalid.errors:
            form_state.say("error", problem.message)
        form_state.is_saving_template = True
        return
    form_state.fields.pop("new_template", None)
    form_state.say("success", _("The template “%(name)s” is saved.") % {"name": name})


_ACTIONS: dict[str, Callable[[MissionFormState, HttpRequest, str], None]] = {
    "import": _import_file,
    "forget_file": _forget_file,
    "guess_columns": _guess_columns,
    "upload_images": _upload_images,
    "remove_image": _remove_image,
    "clear_images": _clear_images,
    "clear_prompts": _clear_prompts,
    "remove_repeats": _remove_repeats,
    "load_template": _load_template,
    "save_template": _save_template,
}
