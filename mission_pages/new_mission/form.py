"""The form of a new mission: its saved state, its controls and its parser.

A form is a set of named texts, exactly as they were typed. Nothing is required here:
``preview`` reports every problem at once. The catalogue decides which parameters there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from django import forms
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batch_input.delimited import WHOLE_LINES
from batch_input.headings import CUSTOM_ID
from batch_input.report import ONE_COLUMN, InputReport
from batch_input.report import WHOLE_LINES as WHOLE_LINES_READ
from batch_input.rows import BatchInput, Origin, Source, import_table, read_batch, sources_for
from batch_input.tables import Table
from batch_input.variables import PromptRules
from core.file_names import MAX_PATTERN
from core.text import trim
from drafts import services as drafts
from drafts.models import FormDraft
from media.models import MediaFile
from mission_pages.forms import PriorityField, TextAroundPromptsField
from providers import catalog
from providers.catalog import Model, ParameterType
from providers.catalog.labels import parameter_label
from providers.catalog.task_types import TaskType
from providers.parameter_fields import (
    PARAMETER,
    SpendingLimitField,
    is_always_sent,
    parameter_field,
    show_currency,
    wire_value,
)
from providers.references import MEDIA

COLUMN = "column-"
# Boxes: several values of a choice, as several-aspectRatio-1:1; further models, as also-KEY.
SEVERAL, ALSO = "several-", "also-"
# Fields that no control posts: what was read from the file of the prompts, and the prompts that it
# replaced, with their own report.
PROMPTS_REPORT, FORMER_PROMPTS, FORMER_REPORT = "prompts_report", "former_prompts", "former_report"
HAS_FILE, INCLUDE_HIDDEN = "has_file", "include_hidden"  # the draft has the imported file, to read it in another way
PLAIN_PROMPTS = "plain_prompts"  # the person wants cells that were pasted to stay lines of text
MAX_REPEAT = 1000
MAX_ALSO = 9  # further models
MAX_PER_ITEM = 50
DEFAULTS = {"repeat": "1", "images_per_item": "1", "priority": "0", "run_first": "3"}
DATE_TIME_FORMAT = "%Y-%m-%dT%H:%M"
# The separators of a text file, by the words of their control. Each line as one cell is "lines".
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "lines": WHOLE_LINES}
DELIMITER_LABELS = {
    "comma": gettext_lazy("Comma"),
    "semicolon": gettext_lazy("Semicolon"),
    "tab": gettext_lazy("Tab"),
    "bar": gettext_lazy("Vertical bar"),
    "lines": gettext_lazy("None: each line is one prompt"),
}
SUBJECT_LENGTH = 60  # characters of a prompt in the default name of a mission


class NewMissionForm(forms.Form):
    """All controls but the model's parameters and the columns of a file."""

    name = forms.CharField(label=gettext_lazy("Name"), required=False, max_length=200)
    description = forms.CharField(
        label=gettext_lazy("Description"), required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    task_type = forms.ChoiceField(required=False, choices=TaskType.choices)
    source = forms.ChoiceField(required=False, choices=Source.choices)
    prompts = forms.CharField(
        label=gettext_lazy("Prompts, one per line"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
    )
    images = forms.CharField(
        label=gettext_lazy("Images, one item per line"),
        required=False,
        strip=False,
        help_text=gettext_lazy("A URL, or media:ID of an uploaded image. Separate several images of one item with |."),
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )
    images_per_item = forms.IntegerField(
        label=gettext_lazy("Images per item"), required=False, min_value=1, max_value=MAX_PER_ITEM, initial=1
    )
    prompt_each = forms.ChoiceField(
        required=False,
        choices=[("", gettext_lazy("One prompt for all")), ("each", gettext_lazy("A prompt per image"))],
    )
    image_prompts = forms.CharField(
        label=gettext_lazy("Prompts, one line per image"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )
    has_header = forms.BooleanField(label=gettext_lazy("The first row contains column names"), required=False)
    leave_out = forms.BooleanField(label=gettext_lazy("Skip invalid rows and use the others"), required=False)
    repeat = forms.IntegerField(
        label=gettext_lazy("Repeat each item"), required=False, min_value=1, max_value=MAX_REPEAT, initial=1
    )
    priority = PriorityField(required=False, initial=0)
    not_before = forms.DateTimeField(
        label=gettext_lazy("Start later"),
        required=False,
        input_formats=[DATE_TIME_FORMAT, f"{DATE_TIME_FORMAT}:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=DATE_TIME_FORMAT),
    )
    spending_limit = SpendingLimitField()
    has_first = forms.BooleanField(label=gettext_lazy("Run the first rows, then wait for me"), required=False)
    run_first = forms.IntegerField(
        label=gettext_lazy("Number of first rows"), required=False, min_value=1, max_value=50_000, initial=3
    )
    text_before = TextAroundPromptsField(label=gettext_lazy("Before every prompt"), rows=1)
    text_after = TextAroundPromptsField(label=gettext_lazy("After every prompt"), rows=1)
    use_variables = forms.BooleanField(label=gettext_lazy("Use variables"), required=False)
    file_name_pattern = forms.CharField(label=gettext_lazy("File names"), required=False, max_length=MAX_PATTERN)
    new_template = forms.CharField(label=gettext_lazy("Template name"), required=False, max_length=200)

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        show_currency(self.fields["spending_limit"], currency)

    def clean_not_before(self) -> datetime | None:
        start: datetime | None = self.cleaned_data["not_before"]
        if start is not None and start < timezone.now():
            raise forms.ValidationError(_("That time is in the past. Choose a later one, or leave this empty."))
        return start


class ParametersForm(forms.Form):
    """The parameters that all items share. An empty one is not sent."""

    def __init__(self, fields: Mapping[str, str], *, model: Model, row_fields: set[str]) -> None:
        shared = [field for field in model.parameters if field.name not in row_fields]
        texts = {}
        for field_ in shared:
            text = fields.get(PARAMETER + field_.name, "")
            if field_.type is ParameterType.CHOICE and text not in field_.choices:  # of another model
                text = str(field_.default) if is_always_sent(field_) else ""
            texts[field_.name] = text
        super().__init__({PARAMETER + name: text for name, text in texts.items()})
        self.fields.update({PARAMETER + field_.name: parameter_field(field_) for field_ in shared})
        self.params = {
            field_.name: wire_value(field_, texts[field_.name]) for field_ in shared if texts[field_.name].strip()
        }


GUESSED_FROM = {
    "synonym": gettext_lazy("guessed from its name"),
    "spelling": gettext_lazy("guessed from its name"),
    "cells": gettext_lazy("guessed from its cells"),
}


class ColumnsForm(forms.Form):
    """The meaning of each column of an imported file: as chosen, else as guessed."""

    def __init__(self, table: Table, *, model: Model, has_header: bool, fields: Mapping[str, str]) -> None:
        names = table.names(has_header=has_header)
        choices = [("", _("Not used"))]
        choices += [(field_.name, parameter_label(field_.name)) for field_ in model.parameters]
        choices += [(CUSTOM_ID, parameter_label(CUSTOM_ID))]
        options = dict(choices)
        chosen = {place: fields[f"{COLUMN}{place}"] for place in range(len(names)) if f"{COLUMN}{place}" in fields}
        valid = {place: name for place, name in chosen.items() if name in options}
        self.imported = import_table(table, model, has_header=has_header, chosen=valid)
        super().__init__({f"{COLUMN}{place}": meaning for place, meaning in enumerate(self.imported.meanings)})
        for place, match in enumerate(self.imported.matches):
            self.fields[f"{COLUMN}{place}"] = forms.ChoiceField(
                label=match.column or _("Text"),
                required=False,
                choices=choices,
                help_text=GUESSED_FROM.get(match.basis, ""),
            )


SAVED_NAMES = frozenset(NewMissionForm.base_fields) | {"model", "template"}


@dataclass
class FormState:
    """The fields and the imported file of one form. The buttons of the page change it.

    ``file`` is the content of a new file, if it can be read in another way. ``notes`` are messages
    for the person, as (kind, text). ``changed`` names the texts that a button has changed: there
    the page must not keep what is typed.
    """

    owner: User
    key: str
    fields: dict[str, str]
    table: Table | None = None
    file_name: str = ""
    file: bytes | None = None
    notes: list[tuple[str, str]] = field(default_factory=list)
    is_new_table: bool = False
    is_saving_template: bool = False  # keeps the panel that names a template open
    changed: frozenset[str] = frozenset()

    @classmethod
    def of_draft(cls, draft: FormDraft, fields: Mapping[str, str] | None = None) -> Self:
        """Return the state that a draft holds, with other fields if they are passed."""
        table = Table.from_json(draft.rows) if draft.table else None
        return cls(draft.owner, draft.key, dict(draft.fields if fields is None else fields), table, draft.file_name)

    def save(self, draft: FormDraft) -> None:
        """Write the fields, and the file if it is new, to the draft. Raises AlreadySubmitted."""
        drafts.save_form(draft, self.fields)
        if self.is_new_table:
            table = self.table.as_json() if self.table else None
            drafts.save_table(draft, file_name=self.file_name, table=table, file=self.file)

    @property
    def prompts_report(self) -> InputReport | None:
        """Return what was read from the text file that filled the prompts, or None."""
        stored = self.fields.get(PROMPTS_REPORT)
        return InputReport.from_json(json.loads(stored)) if stored else None

    def use_prompts(self, text: str, report: InputReport | None = None) -> None:
        """Replace the prompts. ``report`` says what was read from the file that they come from."""
        self.fields["prompts"] = text
        self.fields.pop(PROMPTS_REPORT, None)
        if report is not None:
            self.fields[PROMPTS_REPORT] = json.dumps(report.to_json())

    def note(self, kind: str, text: str) -> None:
        self.notes.append((kind, text))

    def use_table(self, table: Table | None, name: str = "", file: bytes | None = None) -> None:
        """Replace the imported file, or remove it.

        The meanings of its columns are guessed again.
        """
        self.table, self.file_name, self.file, self.is_new_table = table, name, file, True
        self.drop_fields(COLUMN, HAS_FILE, INCLUDE_HIDDEN)
        if file is not None:
            self.fields[HAS_FILE] = "on"
        self.fields.pop("leave_out", None)

    def drop_fields(self, *prefixes: str) -> None:
        self.fields = {name: value for name, value in self.fields.items() if not name.startswith(prefixes)}


@dataclass(frozen=True)
class MissionEntry:
    """The mission that a form describes.

    Only ``form`` may hold errors; everything else is a usable value.
    """

    owner: User
    fields: Mapping[str, str]
    form: NewMissionForm
    model: Model
    sources: Sequence[Source]
    batch: BatchInput
    parameters_form: ParametersForm
    columns_form: ColumnsForm | None
    report: InputReport
    default_name: str
    name: str
    description: str
    params: Mapping[str, Any]
    repeat: int
    leave_out: bool
    spending_limit: Decimal | None
    priority: int
    not_before: datetime | None
    file_name_pattern: str
    run_first: int | None  # so many items run before a release; None: all
    rules: PromptRules
    variations: Mapping[str, Sequence[str]]
    also: Sequence[Model]  # further models that make the same rows

    @property
    def has_prompt_each(self) -> bool:
        return self.batch.image_prompts is not None

    def arguments(
        self,
        rows: Sequence[Any],
        origins: Sequence[Origin],
        headings: Mapping[str, str],
        columns: Sequence[Mapping[str, Any]] | None,
    ) -> dict[str, Any]:
        """Return the arguments of ``services.validate_mission`` for these rows.

        ``headings`` are those of ``BatchRows``; ``columns`` has the cells of each row, if a table
        is imported.
        """
        return {
            "owner": self.owner,
            "name": self.name,
            "description": self.description,
            "task_type": self.model.task_type.value,
            "model": self.model.key,
            "params": self.params,
            "rows": rows,
            "repeat": self.repeat,
            "spending_limit": self.spending_limit,
            "prompt_rules": self.rules,
            "variations": self.variations,
            "columns": columns,
            "file_name_pattern": self.file_name_pattern,
            "headings": headings,
            "origins": [origin.facts if self.batch.source == Source.FILE else None for origin in origins],
        }


def posted_fields(posted: Mapping[str, Any], saved: Mapping[str, str], *, owner_id: int) -> dict[str, str]:
    """Return the saved fields, replaced by those that were posted.

    A text that has not changed is not posted again, and neither are the controls that the page does
    not show. An unchecked box is not posted either: ``header_shown`` tells whether the page had
    that box. When another model was chosen, parameters that only had the default of the model shown
    before are dropped.
    """
    boxes = {"leave_out", "has_first", "use_variables"} | ({"has_header"} if "header_shown" in posted else set())
    fields = {name: value for name, value in saved.items() if name not in boxes}
    if "several_shown" in posted:
        fields = {name: value for name, value in fields.items() if not name.startswith((SEVERAL, ALSO))}
    for name, value in posted.items():
        if name in SAVED_NAMES or name.startswith((PARAMETER, COLUMN, SEVERAL, ALSO)):
            fields[name] = str(value)
    shown = str(posted.get("shown_model", ""))
    if shown == model_of(fields, owner_id).key:
        return fields
    try:
        shown_model = catalog.get_model(shown, owner_id=owner_id)
    except catalog.UnknownModel:
        return fields
    defaults = {
        PARAMETER + field_.name: str(field_.default) for field_ in shown_model.parameters if field_.default is not None
    }
    return {name: value for name, value in fields.items() if defaults.get(name) != value}


def model_of(fields: Mapping[str, str], owner_id: int) -> Model:
    """Return the chosen model, or the default of the chosen type if none of that type is chosen."""
    chosen_type = fields.get("task_type", "")
    task_type = chosen_type if chosen_type in catalog.offered_task_types() else TaskType.TEXT_TO_IMAGE.value
    for model in catalog.all_models(task_type, owner_id=owner_id):
        if fields.get("model") in (model.key, model.endpoint, f"{model.provider}:{model.endpoint}"):
            return model
    return catalog.default_model(task_type)


def parse(state: FormState) -> MissionEntry:
    """Read the fields and the file of a form.

    Values that are invalid get their default, and ``form`` the error.
    """
    fields = DEFAULTS | state.fields
    model = model_of(fields, state.owner.pk)
    task_type = TaskType(model.task_type)
    form = NewMissionForm(fields, currency=model.currency)
    form.is_valid()
    values = form.cleaned_data

    columns_form, imported = None, None
    if state.table is not None:
        has_header = state.table.keys is not None or bool(values.get("has_header"))
        columns_form = ColumnsForm(state.table, model=model, has_header=has_header, fields=fields)
        imported = columns_form.imported
    sources = sources_for(model)
    batch = read_batch(
        model,
        Source(values["source"]) if values.get("source") in sources else sources[0],
        prompts=fields.get("prompts", ""),
        images=fields.get("images", ""),
        images_per_item=values.get("images_per_item") or 1,
        image_prompts=fields.get("image_prompts", "") if values.get("prompt_each") == "each" else None,
        imported=imported,
    )
    variations = {
        field_.name: ticked
        for field_ in model.parameters
        if field_.type is ParameterType.CHOICE and field_.name not in batch.row_fields
        if (ticked := [choice for choice in field_.choices if fields.get(f"{SEVERAL}{field_.name}-{choice}")])
    }
    others = catalog.all_models(task_type.value, owner_id=state.owner.pk)
    also = [other for other in others if other.key != model.key and fields.get(ALSO + other.key)][:MAX_ALSO]
    parameters_form = ParametersForm(fields, model=model, row_fields=batch.row_fields)
    default_name = _default_name(task_type, batch, state.owner)
    return MissionEntry(
        owner=state.owner,
        fields=fields,
        form=form,
        model=model,
        sources=sources,
        batch=batch,
        parameters_form=parameters_form,
        columns_form=columns_form,
        report=_report_of(batch, state),
        default_name=default_name,
        name=trim(fields.get("name", "")) or default_name,
        description=fields.get("description", ""),
        params=parameters_form.params,
        repeat=values.get("repeat") or 1,
        leave_out=bool(values.get("leave_out")),
        spending_limit=values.get("spending_limit"),
        priority=values.get("priority") or 0,
        not_before=values.get("not_before"),
        run_first=(values.get("run_first") or int(DEFAULTS["run_first"])) if values.get("has_first") else None,
        variations=variations,
        also=also,
        rules=PromptRules(
            prefix=values.get("text_before", "") if batch.prompt else "",
            suffix=values.get("text_after", "") if batch.prompt else "",
            has_variables=bool(values.get("use_variables")) and batch.prompt is not None,
        ),
        file_name_pattern=trim(fields.get("file_name_pattern", "")),
    )


def _default_name(task_type: TaskType, batch: BatchInput, owner: User) -> str:
    """Return the beginning of the first prompt, or the name of the first photo, else the time.

    The type comes last: lists cut long names, and it does not tell missions apart.
    """
    subject = " ".join(_first_subject(batch, owner).replace("\0", "").split())
    subject = Truncator(subject).chars(SUBJECT_LENGTH) or date_format(timezone.localtime(), "Y-m-d H:i")
    return f"{subject} · {task_type.label.capitalize()}"


def _first_subject(batch: BatchInput, owner: User) -> str:
    prompts = [text for _line, text in batch.prompts[:1]] or (batch.image_prompts or [])[:1]
    images = batch.image_groups[0][:1] if batch.image_groups else []
    if batch.source == Source.FILE:
        records = batch.imported.records[:1] if batch.imported else []
        fields = batch.imported.meanings if batch.imported else []
        cells = {name: str(cell or "") for record in records for name, cell in zip(fields, record.cells, strict=False)}
        prompts = [cells[field.name] for field in (batch.prompt,) if field and field.name in cells]
        images = [cells[field.name] for field in (batch.image,) if field and field.name in cells]
    if prompts and prompts[0].strip():
        return prompts[0]
    if images and (reference := MEDIA.fullmatch(images[0])):
        return MediaFile.objects.filter(owner=owner, pk=int(reference[1])).values_list("name", flat=True).first() or ""
    return images[0].rsplit("/", 1)[-1] if images else ""


def has_whole_lines(table: Table) -> bool:
    """Return True if each line of a CSV file was read as one cell."""
    codes = (WHOLE_LINES_READ.code, ONE_COLUMN.code)
    return any(warning.code in codes for warning in table.report.warnings)


def _report_of(batch: BatchInput, state: FormState) -> InputReport:
    """Return what is read from the file, or from the texts of the form."""
    if batch.source == Source.FILE:
        return batch.imported.report if batch.imported else InputReport()
    if batch.source == Source.IMAGES:
        return InputReport(kind="images", rows=len(batch.image_groups))
    text = state.fields.get("prompts", "")
    origin = state.prompts_report
    lines = len(text.splitlines())
    typed = InputReport(kind="typed", lines=lines, blank=lines - len(batch.prompts))
    return replace(
        origin or typed,
        rows=len(batch.prompts),
        characters=sum(len(prompt) for _line, prompt in batch.prompts),
    )
