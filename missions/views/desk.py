"""What lies on the desk while a mission is put together: the form, the imported file, and what a button does to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, cast

from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from drafts import services as drafts
from drafts.models import FormDraft
from media.models import MediaFile
from media.services import UploadInvalid, store_upload
from missions import catalog, columns, composition, importers, template_rules
from missions.catalog import Field, FieldType, Model
from missions.composition import RowProblem, Source
from missions.forms.new_mission import COLUMN, PARAMETER, Entered, NewMissionForm, model_of
from missions.importers import RowsInvalid
from missions.labels import parameter_label
from missions.models import Mission, TaskType
from missions.preview import Preview, longest_prompt, preview
from missions.tables import Record, Table, read_table
from templates_app import services as template_services
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid

TILES = 48  # images shown of a batch: the rest is counted
ROW_PROBLEMS = 20
SAMPLES = 3
TITLE = 60
SHOWN_CELL = 120
TYPED_PROMPTS = 2000  # so many prompts of a copied mission are put into the text; more are a table

_NAMES = frozenset(NewMissionForm.base_fields) | {"model", "template"}


@dataclass
class Desk:
    """``notes`` are (kind, text) for the person, told once."""

    owner: User
    key: str
    fields: dict[str, str]
    table: Table | None = None
    file_name: str = ""
    notes: list[tuple[str, str]] = field(default_factory=list)
    is_new_table: bool = False
    is_saving_template: bool = False  # the fold in which a template is named stays open
    changed: frozenset[str] = frozenset()  # the texts that a button has changed: the page must show them anew

    @classmethod
    def of_draft(cls, draft: FormDraft, fields: Mapping[str, str] | None = None) -> Self:
        table = Table.from_json(draft.rows) if draft.table else None
        return cls(draft.owner, draft.key, dict(draft.fields if fields is None else fields), table, draft.file_name)

    @cached_property
    def entered(self) -> Entered:
        """Only to be asked when the fields do not change any more."""
        return Entered(self.fields, owner=self.owner, table=self.table)

    def keep(self, draft: FormDraft) -> None:
        """Raises AlreadySubmitted."""
        drafts.keep_form(draft, self.fields)
        if self.is_new_table:
            table = self.table.as_json() if self.table else None
            drafts.keep_table(draft, file_name=self.file_name, table=table)

    def say(self, kind: str, text: str) -> None:
        self.notes.append((kind, text))

    def put_table(self, table: Table | None, name: str = "") -> None:
        """Take another file: what its columns mean is guessed anew."""
        self.table, self.file_name, self.is_new_table = table, name, True
        self.forget(COLUMN)
        self.fields.pop("leave_out", None)

    def forget(self, prefix: str) -> None:
        self.fields = {name: value for name, value in self.fields.items() if not name.startswith(prefix)}

    def may_submit(self, found: Preview) -> bool:
        return found.is_ready and not self.entered.form.errors

    def context(self) -> dict[str, Any]:
        """All that the templates show."""
        entered = self.entered
        _keep_typing(entered.form, self.changed)
        found = preview(entered.wanted)
        prompt = columns.prompt_field(entered.model)
        shared = list(entered.parameters_form)
        prompts = [bound for bound in shared if prompt and bound.name == PARAMETER + prompt.name]
        return {
            "desk": self,
            "entered": entered,
            "form": entered.form,
            "found": found,
            "may_submit": self.may_submit(found),
            "types": [(kind, catalog.find_default(kind)) for kind in TaskType],
            "models": [(model, catalog.price_in_words(model)) for model in catalog.all_models(entered.task_type)],
            "price": catalog.price_in_words(entered.model),
            "templates": MissionTemplate.objects.filter(owner_id=self.owner.pk).order_by("name"),
            "sources": composition.sources_for(entered.model),
            "shared_prompt": prompts[0] if prompts else None,
            "parameters": [bound for bound in shared if bound not in prompts],
            "longest": longest_prompt(entered.wanted),
            "line_count": len(composition.prompt_lines(entered.entry.prompts)),
            "image_limit": _image_limit(entered.model),
            "tiles": self._tiles(),
            "problems": [_described(error.field, error.message) for error in found.problems],
            "row_problems": [_row_described(problem) for problem in found.row_problems[:ROW_PROBLEMS]],
            "row_problem_count": len(found.row_problems),
            "row_count": composition.count(entered.entry),
            "samples": self._samples(),
            "first_items": [_item(item, self.owner) for item in found.first_items],
            "further_count": max(found.count - len(found.first_items), 0),
        }

    def _samples(self) -> list[list[str]]:
        """The first rows of the file, as many cells each as there are columns."""
        if self.table is None or self.entered.columns_form is None:
            return []
        width = len(self.entered.columns_form.fields)
        records = self.table.body(has_header=self.entered.has_header)[:SAMPLES]
        return [[_cell(record, place) for place in range(width)] for record in records]

    def _tiles(self) -> dict[str, Any]:
        """The first images of the batch, with the prompt of each."""
        entry = self.entered.entry
        groups = composition.image_groups(entry)
        files = _files((name for group in groups[:TILES] for name in group), self.owner)
        texts = entry.image_prompts.splitlines() if entry.has_prompt_each else []
        shown = [
            {
                "number": number,
                "images": [files.get(name, {"name": name}) for name in group],
                "prompt": texts[number - 1] if number <= len(texts) else "",
            }
            for number, group in enumerate(groups[:TILES], start=1)
        ]
        return {"shown": shown, "count": len(groups), "more": max(len(groups) - TILES, 0)}


def typed(posted: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, str]:
    """The fields as they were posted.  What the page did not show, or did not post again because it has not changed, stays.

    A box that is not checked is not posted: ``header_shown`` tells that from one that was not there.
    """
    wanted = {name: str(value) for name, value in posted.items() if _is_field(name)}
    boxes = {"leave_out"} | ({"has_header"} if "header_shown" in posted else set())
    fields = {name: value for name, value in kept.items() if name not in boxes} | wanted
    return _without_usual(fields, shown=str(posted.get("shown_model", "")))


def _without_usual(fields: dict[str, str], *, shown: str) -> dict[str, str]:
    """When another model was chosen, leave what was only the usual value of the one that was shown: nobody has chosen it."""
    model = model_of(fields)
    if shown == model.endpoint:
        return fields
    try:
        before = catalog.get_model(shown)
    except catalog.UnknownModel:
        return fields
    usual = {PARAMETER + field.name: str(field.default) for field in before.fields if field.default is not None}
    return {name: value for name, value in fields.items() if usual.get(name) != value}


def _is_field(name: str) -> bool:
    return name in _NAMES or name.startswith((PARAMETER, COLUMN))


# --- What the buttons do ---


def act(desk: Desk, action: str, request: HttpRequest) -> None:
    """Do what a button says to the fields.  ``remove_image:3`` is an action with an argument."""
    name, _colon, argument = action.partition(":")
    verb = _ACTIONS.get(name)
    if verb is None:
        return
    before = dict(desk.fields)
    verb(desk, request, argument)
    desk.changed = frozenset(name for name in _NAMES if before.get(name) != desk.fields.get(name))


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
    is_text = name.lower().endswith(".txt") and len(table.records) <= TYPED_PROMPTS
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
    is_joined = any(len(group) > per_item for group in groups) or len(groups) == len(_lines(desk, "images"))
    lines = [number] if is_joined else range((number - 1) * per_item + 1, number * per_item + 1)
    for line in sorted(lines, reverse=True):
        desk.fields["images"] = composition.without_image(desk.fields.get("images", ""), line)
    texts = desk.fields.get("image_prompts", "").splitlines()
    desk.fields["image_prompts"] = "\n".join(text for place, text in enumerate(texts, start=1) if place != number)


def _lines(desk: Desk, name: str) -> list[tuple[int, str]]:
    return list(importers.lines_of(desk.fields.get(name, "")))


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


# --- What a form begins with ---


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
    return {PARAMETER + name: _as_text(value) for name, value in params.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def copy_of(mission: Mission, *, owner: User, key: str) -> Desk:
    """A desk with all that a mission was made of: prompts as text where that says everything, a table otherwise."""
    name = _("%(name)s (copy)") % {"name": mission.name[:180]}
    fields = {
        "name": name,
        "description": mission.description,
        "task_type": mission.task_type,
        "model": mission.model,
        "priority": str(mission.priority),
    }
    desk = Desk(owner, key, fields | _parameters(mission.params))
    items = list(mission.items.order_by("index").values_list("index", "custom_id", "params"))
    if prompts := _plain_prompts(mission, items):
        desk.fields |= {"source": Source.PROMPTS.value, "prompts": prompts}
    else:
        desk.put_table(_table_of(items), mission.name)
        desk.fields["source"] = Source.FILE.value
    return desk


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
    fields = [field for field in model.fields if field.is_required or field.type is FieldType.CHOICE]
    rows: list[list[object]] = [[f"item-{number}", *(_example(field, number) for field in fields)] for number in (1, 2)]
    return [columns.CUSTOM_ID, *(field.name for field in fields)], rows


def _example(field: Field, number: int) -> object:
    match field.type:
        case FieldType.TEXT:
            return [_("A red fox asleep in fresh snow"), _("A lighthouse on a cliff in a storm")][number - 1]
        case FieldType.IMAGE | FieldType.IMAGES:
            return f"photo-{number}.png"
        case FieldType.CHOICE:
            return field.default or field.choices[0]
    return "" if field.default is None else field.default


# --- How things are shown ---


def _keep_typing(form: NewMissionForm, changed: Collection[str]) -> None:
    """When the form is drawn anew, a text that somebody goes on typing in stays as it is, unless a button has changed it."""
    for name in ("name", "description", "prompts", "images", "image_prompts"):
        if name not in changed:
            form.fields[name].widget.attrs["data-typed"] = ""


def _image_limit(model: Model) -> int:
    """How many images one item may have."""
    field = columns.image_field(model)
    return (field.max_count or 50) if field and field.type is FieldType.IMAGES else 1


def shown(file: MediaFile) -> dict[str, str]:
    """An uploaded image for a tile."""
    return {"name": file.name, "url": reverse("media:file", args=[file.key])}


def title_of(draft: FormDraft) -> str:
    """What tells an unfinished form from another: its name, its file, or how its prompts begin."""
    fields = draft.fields
    first = next(iter(importers.lines_of(fields.get("prompts", ""))), (0, ""))[1]
    return fields.get("name", "").strip() or draft.file_name or first[:TITLE]


def _files(references: Iterable[str], owner: User) -> dict[str, dict[str, Any]]:
    """Name and address of the owner's images, by reference."""
    numbers = {
        int(name.removeprefix("media:")) for name in references if name.startswith("media:") and name[6:].isdecimal()
    }
    files = MediaFile.objects.filter(owner_id=owner.pk, pk__in=[number for number in numbers if number < 2**63])
    return {file.reference: shown(file) for file in files}


def _item(item: Mapping[str, Any], owner: User) -> dict[str, Any]:
    """An item as it will be sent: its texts, its images, and the rest."""
    images = [name for value in item.values() for name in (value if isinstance(value, list) else [value])]
    files = _files((name for name in images if isinstance(name, str)), owner)
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


def _cell(record: Record, place: int) -> str:
    value = record.cells[place] if place < len(record.cells) else None
    return "" if value is None else _as_text(value)[:SHOWN_CELL]


def _row_described(problem: RowProblem) -> dict[str, Any]:
    """A row's error with the column that it is in, as the file or the model calls it."""
    where = problem.column or (parameter_label(problem.field) if problem.field else "")
    return {"place": problem.place, "where": where, "value": problem.value, "message": problem.message}


def _described(name: str, message: str) -> dict[str, str]:
    """An error of the form as a whole, with the control that it is about."""
    if name.startswith("params."):
        parameter = name.removeprefix("params.")
        return {"label": parameter_label(parameter), "message": message, "target": f"id_{PARAMETER}{parameter}"}
    labels = {"name": _("Name"), "description": _("Description"), "repeat": _("Repeat each item"), "model": _("Model")}
    return {"label": labels.get(name, ""), "message": message, "target": f"id_{name}" if name in labels else "batch"}
