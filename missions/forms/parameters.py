"""A form of a model's parameters: the catalogue decides which fields there are and how they look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from missions.catalog import Field, FieldType, Model

PREFIX = "param-"


class ItemParametersForm(forms.Form):
    """All parameters of one item.  What is left empty is not sent; the catalogue checks the values."""

    def __init__(self, model: Model, values: Mapping[str, Any], data: Any = None) -> None:
        self.model = model
        initial = {PREFIX + name: _shown(value) for name, value in values.items()}
        super().__init__(data, initial=initial)
        self.fields.update({PREFIX + field.name: _form_field(field) for field in model.fields})

    def changed_params(self) -> dict[str, Any]:
        """The parameters that differ from what they were, as the services take them."""
        names = {PREFIX + field.name: field for field in self.model.fields}
        return {names[key].name: _value(names[key], self.cleaned_data[key]) for key in self.changed_data}

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Put each message beside its parameter, or above the form."""
        for name, message in errors.items():
            self.add_error(PREFIX + name if PREFIX + name in self.fields else None, message)


def _form_field(field: Field) -> forms.Field:
    options: dict[str, Any] = {"label": field.name, "required": field.is_required}
    match field.type:
        case FieldType.CHOICE:
            empty = [] if field.is_required else [("", "—")]
            return forms.ChoiceField(choices=[*empty, *((word, word) for word in field.choices)], **options)
        case FieldType.INTEGER:
            return forms.IntegerField(min_value=field.minimum, max_value=field.maximum, **options)
        case FieldType.BOOLEAN:
            return forms.NullBooleanField(**options)
        case FieldType.IMAGES:
            help_text = _("One address per line, or media:ID of an uploaded image.")
            return forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), help_text=help_text, **options)
        case FieldType.IMAGE:
            return forms.CharField(help_text=_("An address, or media:ID of an uploaded image."), **options)
        case FieldType.TEXT:
            return forms.CharField(
                widget=forms.Textarea(attrs={"rows": 4}), max_length=field.max_length, strip=False, **options
            )


def _shown(value: Any) -> Any:
    return "\n".join(value) if isinstance(value, list) else value


def _value(field: Field, value: Any) -> Any:
    if field.type is FieldType.IMAGES:
        return [line.strip() for line in value.splitlines() if line.strip()]
    return value.replace("\r\n", "\n") if isinstance(value, str) else value
