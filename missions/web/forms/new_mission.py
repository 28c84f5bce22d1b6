"""The form of a new mission: what is in it, and what it means.  The catalogue decides which parameters there are.

A form is its fields, typed texts by name, as they are kept in a draft.  Nothing is required here: what is wrong is told by
``missions.batch_input.preview``, all at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from django import forms
from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from missions.batch_input import columns, composition
from missions.batch_input.composition import Entry, Import, Source
from missions.batch_input.preview import Wanted
from missions.batch_input.tables import Table
from providers import catalog
from providers.catalog import Model, Parameter, ParameterType
from providers.catalog.labels import parameter_label
from providers.catalog.task_types import TaskType
from providers.parameter_fields import PARAMETER, SpendingLimitField, is_always_sent, parameter_field, wire_value

COLUMN = "column-"
MAX_REPEAT = 1000
MAX_PER_ITEM = 50
PRIORITIES = [(10, gettext_lazy("Before others")), (0, gettext_lazy("Normal")), (-10, gettext_lazy("After others"))]
DEFAULTS = {"repeat": "1", "images_per_item": "1", "priority": "0"}
MOMENT = "%Y-%m-%dT%H:%M"


class NewMissionForm(forms.Form):
    """All but the model's parameters and the columns of a file."""

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
        help_text=gettext_lazy(
            "An address, or media:ID of an uploaded image. Several for one item: put | between them."
        ),
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
        label=gettext_lazy("Prompts, the first line for the first image"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )
    has_header = forms.BooleanField(label=gettext_lazy("The first row names the columns"), required=False)
    leave_out = forms.BooleanField(label=gettext_lazy("Use the valid rows, leave out the others"), required=False)
    repeat = forms.IntegerField(
        label=gettext_lazy("Repeat each item"), required=False, min_value=1, max_value=MAX_REPEAT, initial=1
    )
    priority = forms.TypedChoiceField(
        label=gettext_lazy("Priority"), required=False, choices=PRIORITIES, coerce=int, initial=0
    )
    not_before = forms.DateTimeField(
        label=gettext_lazy("Start later"),
        required=False,
        input_formats=[MOMENT, f"{MOMENT}:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=MOMENT),
    )
    spending_limit = SpendingLimitField()
    new_template = forms.CharField(label=gettext_lazy("Name of the template"), required=False, max_length=200)

    def clean_not_before(self) -> datetime | None:
        moment: datetime | None = self.cleaned_data["not_before"]
        if moment is not None and moment < timezone.now():
            raise forms.ValidationError(
                _("This moment has passed. Choose a later one, or leave it empty to start now.")
            )
        return moment


class ParametersForm(forms.Form):
    """The parameters that all items share.  An empty one is not given."""

    def __init__(self, data: Mapping[str, Any], *, model: Model, filled: set[str]) -> None:
        self._shown = [field for field in model.parameters if field.name not in filled]
        super().__init__({PARAMETER + field.name: _typed(field, data) for field in self._shown})
        self.fields.update({PARAMETER + field.name: parameter_field(field) for field in self._shown})

    def params(self) -> dict[str, Any]:
        given = {field.name: self.data[PARAMETER + field.name] for field in self._shown}
        return {field.name: wire_value(field, given[field.name]) for field in self._shown if given[field.name].strip()}


class ColumnsForm(forms.Form):
    """What each column of an imported file fills."""

    def __init__(self, table: Table, *, model: Model, has_header: bool, data: Mapping[str, Any]) -> None:
        guessed = columns.guess(table, model, header=has_header)
        choices = _meanings(model)
        names = table.names(has_header=has_header)
        self.meaning = [_chosen(data.get(f"{COLUMN}{place}"), choices, own) for place, own in enumerate(guessed)]
        super().__init__({f"{COLUMN}{place}": own for place, own in enumerate(self.meaning)})
        for place, name in enumerate(names[: len(guessed)]):
            self.fields[f"{COLUMN}{place}"] = forms.ChoiceField(
                label=name or _("Text"), required=False, choices=choices
            )


class Entered:
    """One form: its fields, and the file that was imported for it."""

    def __init__(self, fields: Mapping[str, str], *, owner: AbstractBaseUser, table: Table | None = None) -> None:
        self.fields = DEFAULTS | dict(fields)
        self.owner = owner
        self.table = table
        self.form = NewMissionForm(self.fields)
        self.form.is_valid()

    @cached_property
    def task_type(self) -> str:
        return str(self.model.task_type.value)

    @cached_property
    def model(self) -> Model:
        return model_of(self.fields)

    @cached_property
    def source(self) -> Source:
        possible = composition.sources_for(self.model)
        chosen = self._clean("source")
        return Source(chosen) if chosen in possible else possible[0]

    @cached_property
    def columns_form(self) -> ColumnsForm | None:
        if self.table is None:
            return None
        return ColumnsForm(self.table, model=self.model, has_header=self.has_header, data=self.fields)

    @property
    def has_header(self) -> bool:
        is_named = self.table is not None and self.table.keys is not None
        return is_named or bool(self._clean("has_header"))

    @cached_property
    def entry(self) -> Entry:
        return Entry(
            source=self.source,
            prompts=self.fields.get("prompts", ""),
            images=self.fields.get("images", ""),
            images_per_item=self._clean("images_per_item") or 1,
            has_prompt_each=self._clean("prompt_each") == "each" and columns.prompt_field(self.model) is not None,
            image_prompts=self.fields.get("image_prompts", ""),
            imported=self._imported,
        )

    @property
    def _imported(self) -> Import | None:
        if self.table is None or self.columns_form is None:
            return None
        return Import(self.table, self.has_header, self.columns_form.meaning)

    @cached_property
    def filled(self) -> set[str]:
        """The parameters that the rows give."""
        return composition.filled_by_rows(self.entry, self.model)

    @cached_property
    def parameters_form(self) -> ParametersForm:
        return ParametersForm(self.fields, model=self.model, filled=self.filled)

    @cached_property
    def default_name(self) -> str:
        """What the mission is called unless a person says otherwise: its type and this minute."""
        return f"{TaskType(self.task_type).label.capitalize()}, {date_format(timezone.localtime(), 'Y-m-d H:i')}"

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            owner=self.owner,
            name=self.fields.get("name", "").strip() or self.default_name,
            description=self.fields.get("description", ""),
            model=self.model,
            params=self.parameters_form.params(),
            entry=self.entry,
            repeat=self._clean("repeat") or 1,
            leave_out=bool(self._clean("leave_out")),
            spending_limit=self._clean("spending_limit"),
        )

    @property
    def schedule(self) -> dict[str, Any]:
        """When, and before which others."""
        return {"priority": self._clean("priority") or 0, "not_before": self._clean("not_before")}

    @property
    def template_config(self) -> dict[str, Any]:
        """What ``template_rules.clean_config`` takes."""
        chosen = self.model.endpoint if self.fields.get("model") else ""
        params = self.parameters_form.params()
        return {"model": chosen, "params": params, "batch_fields": sorted(self.filled) or [self.model.batch_field]}

    def _clean(self, name: str) -> Any:
        return self.form.cleaned_data.get(name)


def model_of(fields: Mapping[str, str]) -> Model:
    """The chosen model, or its type's default where none is chosen or it makes something else."""
    chosen_type = fields.get("task_type", "")
    task_type = chosen_type if chosen_type in TaskType.values else TaskType.TEXT_TO_IMAGE.value
    found = [model for model in catalog.all_models(task_type) if model.endpoint == fields.get("model")]
    return found[0] if found else catalog.default_model(task_type)


def _typed(field: Parameter, data: Mapping[str, Any]) -> str:
    """What the control shows: what was typed, or the usual value where the model has no such choice (any more)."""
    given = str(data.get(PARAMETER + field.name, ""))
    if field.type is not ParameterType.CHOICE or given in field.choices:
        return given
    return str(field.default) if is_always_sent(field) else ""


def _meanings(model: Model) -> list[tuple[str, str]]:
    named = [(field.name, parameter_label(field.name)) for field in model.parameters]
    return [("", _("Not used")), *named, (columns.CUSTOM_ID, parameter_label(columns.CUSTOM_ID))]


def _chosen(given: object, choices: list[tuple[str, str]], otherwise: str) -> str:
    return given if isinstance(given, str) and given in dict(choices) else otherwise
