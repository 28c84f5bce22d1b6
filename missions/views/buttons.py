"""What the buttons of New mission do to what lies on the desk.  None of them spends anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils.translation import gettext as _

from media.services import UploadInvalid, store_upload
from missions import template_rules
from missions.forms.fields import PARAMETER
from missions.forms.new_mission import COLUMN, Entered, model_of
from missions.intake import columns, composition, importers
from missions.intake.composition import Source
from missions.intake.importers import RowsInvalid
from missions.intake.tables import Table, read_table
from missions.views.beginnings import fields_of_template
from missions.views.desk import NAMES, Desk
from templates_app import services as template_services
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid

TYPED_LINES = 2000  # so many lines of a file become prompts that can be edited; more are a table


def act(desk: Desk, action: str, request: HttpRequest) -> None:
    """Do what a button says to the fields.  ``remove_image:3`` is an action with an argument."""
    name, _colon, argument = action.partition(":")
    verb = _ACTIONS.get(name)
    if verb is None:
        return
    before = dict(desk.fields)
    verb(desk, request, argument)
    desk.changed = frozenset(name for name in NAMES if before.get(name) != desk.fields.get(name))


def _import_file(desk: Desk, request: HttpRequest, _argument: str) -> None:
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile) or not file.name:
        desk.say("warning", _("Choose a file first."))
        return
    try:
        table = read_table(cast(Any, file), name=file.name)
    except RowsInvalid as invalid:
        for error in invalid.errors[:5]:
            desk.say("error", f"{file.name}: {error}")
        return
    _put(desk, table, file.name)


def _put(desk: Desk, table: Table, name: str) -> None:
    """Use a file: plain lines become prompts that can be edited, everything else a table with columns."""
    model = model_of(desk.fields)
    is_text = name.lower().endswith(".txt") and len(table.records) <= TYPED_LINES
    if is_text and Source.PROMPTS in composition.sources_for(model):
        lines = [str(record.cells[0]) for record in table.records]
        desk.fields["prompts"] = "\n".join([*filter(None, [desk.fields.get("prompts", "").strip()]), *lines])
        desk.fields["source"] = Source.PROMPTS.value
        return
    desk.put_table(table, name)
    desk.fields["source"] = Source.FILE.value
    _set(desk, "has_header", columns.has_header(table, model))


def _set(desk: Desk, name: str, value: bool) -> None:
    desk.fields.pop(name, None)
    if value:
        desk.fields[name] = "on"


def _forget_file(desk: Desk, _request: HttpRequest, _argument: str) -> None:
    desk.put_table(None)


def _guess_columns(desk: Desk, _request: HttpRequest, _argument: str) -> None:
    desk.forget(COLUMN)


def _upload_images(desk: Desk, request: HttpRequest, _argument: str) -> None:
    """Without JavaScript: the images that came with the form."""
    stored = []
    for file in request.FILES.getlist("image_files"):
        try:
            stored.append(store_upload(owner=desk.owner, file=cast(Any, file), name=file.name or "").media.reference)
        except UploadInvalid as error:
            desk.say("error", f"{file.name}: {error}")
    before = desk.fields.get("images", "").strip()
    desk.fields["images"] = "\n".join([*filter(None, [before]), *stored])


def _remove_image(desk: Desk, _request: HttpRequest, argument: str) -> None:
    """Take one item's images out, and its prompt with them."""
    if not argument.isdecimal():
        return
    entered = Entered(desk.fields, owner=desk.owner)
    groups = composition.image_groups(entered.entry)
    number = int(argument)
    per_item = max(entered.entry.images_per_item, 1)
    is_line = len(groups) == len(list(importers.lines_of(desk.fields.get("images", ""))))
    lines = [number] if is_line else range((number - 1) * per_item + 1, number * per_item + 1)
    for line in sorted(lines, reverse=True):
        desk.fields["images"] = composition.without_image(desk.fields.get("images", ""), line)
    texts = desk.fields.get("image_prompts", "").splitlines()
    desk.fields["image_prompts"] = "\n".join(text for place, text in enumerate(texts, start=1) if place != number)


def _clear_images(desk: Desk, _request: HttpRequest, _argument: str) -> None:
    desk.fields["images"] = ""


def _clear_prompts(desk: Desk, _request: HttpRequest, _argument: str) -> None:
    desk.fields["prompts"] = ""


def _remove_repeats(desk: Desk, _request: HttpRequest, _argument: str) -> None:
    desk.fields["prompts"] = composition.without_repeats(desk.fields.get("prompts", ""))


def _load_template(desk: Desk, _request: HttpRequest, _argument: str) -> None:
    number = desk.fields.get("template", "")
    template = (
        MissionTemplate.objects.filter(owner_id=desk.owner.pk, pk=int(number)).first() if number.isdecimal() else None
    )
    if template is None:
        desk.say("warning", _("Choose a template first."))
        return
    for problem in template_rules.problems(template):
        desk.say("warning", f"{template.name}: {problem.message}")
    desk.forget(PARAMETER)
    desk.fields |= fields_of_template(template)
    desk.say("success", _("“%(name)s” is loaded.") % {"name": template.name})


def _save_template(desk: Desk, _request: HttpRequest, _argument: str) -> None:
    """Save the model and its parameters under a name; prompts and images are not part of it."""
    entered = Entered(desk.fields, owner=desk.owner, table=desk.table)
    name = desk.fields.get("new_template", "").strip()
    try:
        config = template_rules.clean_config(
            owner=desk.owner, task_type=entered.task_type, config=entered.template_config
        )
        template_services.create_template(owner=desk.owner, name=name, task_type=entered.task_type, config=config)
    except TemplateInvalid as invalid:
        for problem in invalid.errors:
            desk.say("error", problem.message)
        desk.is_saving_template = True
        return
    desk.fields.pop("new_template", None)
    desk.say("success", _("The template “%(name)s” is saved.") % {"name": name})


_ACTIONS: dict[str, Callable[[Desk, HttpRequest, str], None]] = {
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
