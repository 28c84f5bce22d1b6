"""Form fields for a model's parameters.

The catalogue says which there are and checks their values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from core.money import SIGNS
from media.models import MediaFile
from providers.catalog import MEGABYTE, Parameter, ParameterType
from providers.catalog.labels import choice_label, parameter_label

PARAMETER = "param-"  # prefix of the names of these fields in a form
SINGLE_LINE_LENGTH = 200  # a longer text gets several lines
IMAGE_TYPES = (ParameterType.IMAGE, ParameterType.IMAGES)


class SpendingLimitField(forms.DecimalField):
    """An amount of money, or nothing. The service checks its range."""

    def __init__(self) -> None:
        super().__init__(
            required=False, label=_("Spending limit"), widget=forms.NumberInput({"min": "0.01", "step": "any"})
        )


def show_currency(field: forms.Field, currency: str) -> None:
    """Name the currency in the help text of a SpendingLimitField; "" is that of a free model."""
    if currency:
        text = gettext("In %(currency)s. The mission pauses before it costs more. Empty: no limit.")
        field.help_text = text % {"currency": SIGNS.get(currency, currency)}
    else:
        field.help_text = gettext("The mission pauses before it costs more. Empty: no limit.")


def parameter_field(
    parameter: Parameter, *, images: Sequence[MediaFile] | None = None, is_decided: bool = True
) -> forms.Field:
    """Return the form field of a parameter. It accepts any text: the catalogue checks values.

    ``images`` can be ticked; without them, images are written as lines of text. ``is_decided``: no
    value can be left open for later, so a choice that is always sent has no empty entry.
    """
    options: dict[str, Any] = {"label": parameter_label(parameter.name), "required": False}
    options["help_text"] = _limits_text(parameter)
    if parameter.type in IMAGE_TYPES and images is not None:
        is_single = parameter.type is ParameterType.IMAGE
        return FilesField(is_single=is_single, widget=FilesWidget(images, is_single=is_single), **options)
    if parameter.type is ParameterType.IMAGES:
        options["help_text"] = _("Addresses, or media:ID of uploaded images, one per line.")
    elif parameter.type is ParameterType.IMAGE:
        options["help_text"] = _("An address, or media:ID of an uploaded image.")
    elif parameter.is_file:
        options["help_text"] = _("An address, or media:ID of an uploaded file.")
    return forms.CharField(widget=_widget(parameter, is_decided=is_decided), strip=False, **options)


def is_always_sent(parameter: Parameter) -> bool:
    """Tell if a value is sent even if none is entered."""
    return parameter.is_required and parameter.default is not None


def as_typed(value: Any) -> str:
    """Return a value as a person types it: images in lines, ``true``, objects as JSON."""
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return "\n".join(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


def wire_value(parameter: Parameter, value: Any) -> Any:
    """Return the content of a form field for the catalogue; "" or an empty list for no value."""
    if parameter.type is ParameterType.TEXT:
        return value.replace("\r\n", "\n")
    if parameter.is_file or (parameter.type is ParameterType.LIST and not value.strip().startswith("[")):
        lines = value if isinstance(value, list) else value.replace("|", "\n").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        takes_many = parameter.type in (ParameterType.IMAGES, ParameterType.LIST)
        return names if takes_many or len(names) != 1 else names[0]
    return value.strip()


def _widget(parameter: Parameter, *, is_decided: bool) -> forms.Widget:
    if parameter.default is None:
        nothing = ("", gettext("Model's choice"))
    else:
        default = {"True": gettext("Yes"), "False": gettext("No")}.get(str(parameter.default)) or choice_label(
            str(parameter.default)
        )
        nothing = ("", gettext("Default (%(default)s)") % {"default": default})
    match parameter.type:
        case ParameterType.CHOICE:
            choices = [(choice, choice_label(choice)) for choice in parameter.choices]
            return forms.Select(choices=choices if is_decided and is_always_sent(parameter) else [nothing, *choices])
        case ParameterType.BOOLEAN:
            return forms.Select(choices=[nothing, ("true", _("Yes")), ("false", _("No"))])
        case ParameterType.INTEGER | ParameterType.FLOAT:
            limits = {"min": parameter.minimum, "max": parameter.maximum, "placeholder": parameter.default}
            if parameter.type is ParameterType.FLOAT:
                limits["step"] = "any"
            return forms.NumberInput({name: limit for name, limit in limits.items() if limit is not None})
        case ParameterType.IMAGE | ParameterType.IMAGES:
            return ReferencesWidget(is_single=parameter.type is ParameterType.IMAGE)
        case ParameterType.VIDEO | ParameterType.AUDIO:
            return forms.TextInput()
        case ParameterType.TEXT if parameter.max_length and parameter.max_length <= SINGLE_LINE_LENGTH:
            return forms.TextInput()
        case ParameterType.TEXT | ParameterType.OBJECT | ParameterType.LIST:
            return forms.Textarea({"rows": 3})


def _limits_text(parameter: Parameter) -> str:
    """Return the limits of a number or a file for people."""
    if parameter.type in (ParameterType.INTEGER, ParameterType.FLOAT):
        if parameter.minimum is None or parameter.maximum is None:
            return ""
        return gettext("From %(least)s to %(most)s.") % {
            "least": f"{parameter.minimum:.12g}",
            "most": f"{parameter.maximum:.12g}",
        }
    if parameter.type is ParameterType.OBJECT:
        return gettext("A JSON object.")
    if parameter.type is ParameterType.LIST:
        return gettext("One entry per line, or a JSON list.")
    limits = []
    if parameter.max_count:
        limits.append(ngettext("%d image at most", "%d images at most", parameter.max_count) % parameter.max_count)
    if parameter.type in IMAGE_TYPES:
        return gettext(" · ").join(limits)  # images are converted to what the model takes
    if parameter.formats:
        limits.append(", ".join(parameter.formats))
    if parameter.max_bytes:
        limits.append(gettext("%d MB at most") % (parameter.max_bytes // MEGABYTE))
    return gettext(" · ").join(limits)


class ReferencesWidget(forms.Widget):
    """A text of addresses and ``media:ID``, one per line, with an upload button that adds to it."""

    template_name = "providers/widgets/reference.html"

    def __init__(self, *, is_single: bool) -> None:
        super().__init__()
        self.is_single = is_single

    def get_context(self, name: str, value: Any, attrs: Mapping[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, dict(attrs or {}))
        context["widget"]["is_single"] = self.is_single
        return context


class FilesWidget(forms.Widget):
    """Images of the library to tick, and lines for addresses.

    Its value is a list of ``media:ID`` and addresses.
    """

    template_name = "providers/widgets/files.html"

    def __init__(self, images: Sequence[MediaFile], *, is_single: bool) -> None:
        super().__init__()
        self.images = images
        self.is_single = is_single

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        ticked = data.getlist(name) if isinstance(data, MultiValueDict) else list(data.get(name) or [])
        lines = [line.strip() for line in (data.get(f"{name}-lines") or "").splitlines()]
        return list(dict.fromkeys(word for word in [*ticked, *lines] if word))

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return False  # a form in which nothing is ticked does not send the name at all

    def get_context(self, name: str, value: Any, attrs: Mapping[str, Any] | None) -> dict[str, Any]:
        chosen = value.splitlines() if isinstance(value, str) else list(value or [])
        offered = {image.reference for image in self.images}
        context = super().get_context(name, None, dict(attrs or {}))
        context["widget"] |= {
            "images": [(image, image.reference in chosen) for image in self.images],
            "lines": "\n".join(word for word in chosen if word not in offered),
            "input": "radio" if self.is_single else "checkbox",
            "is_single": self.is_single,
        }
        return context

    def id_for_label(self, id_: str) -> str:
        return f"{id_}-lines"


class FilesField(forms.Field):
    """A list of images; an empty list means no value."""

    def __init__(self, *, is_single: bool, **options: Any) -> None:
        super().__init__(**options)
        self.is_single = is_single

    def to_python(self, value: Any) -> list[str]:
        return list(value or [])

    def validate(self, value: list[str]) -> None:
        if self.is_single and len(value) > 1:
            raise forms.ValidationError(gettext("Choose one image only."))
