"""Form fields for a model's parameters: the catalogue decides which there are, and checks what is put into them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from media.models import MediaFile
from providers.catalog import MEGABYTE, Parameter, ParameterType
from providers.catalog.labels import parameter_label

PARAMETER = "param-"  # what the names of these fields begin with in a form


class SpendingLimitField(forms.DecimalField):
    """An amount of money, or nothing.  The service decides what is too little and too much."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            label=_("Spending limit"),
            help_text=_("In ¥. The mission pauses before it costs more. Empty: no limit."),
            widget=forms.NumberInput({"min": "0.01", "step": "any"}),
        )


def parameter_field(
    field: Parameter, *, images: Sequence[MediaFile] | None = None, is_decided: bool = True
) -> forms.Field:
    """A form field for one parameter, empty for "not given".

    ``images`` are offered to choose from; without them images are named in lines of text.  ``is_decided``: nothing can be left
    for later, so that a choice which is always sent has no empty entry.  The field takes anything: only the catalogue knows what
    is right, and says it better.
    """
    options: dict[str, Any] = {"label": parameter_label(field.name), "required": False, "help_text": _help(field)}
    if field.is_file and images is not None:
        is_single = field.type is ParameterType.IMAGE
        return FilesField(is_single=is_single, widget=FilesWidget(images, is_single=is_single), **options)
    if field.is_file:
        options["help_text"] = _how_to_name(field)
    return forms.CharField(widget=_widget(field, is_decided=is_decided), strip=False, **options)


def is_always_sent(field: Parameter) -> bool:
    """The model wants it, and has a usual value for it."""
    return field.is_required and field.default is not None


def as_typed(value: Any) -> str:
    """A parameter's value as a person types it into its field: images in lines, yes and no as ``true`` and ``false``."""
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def wire_value(field: Parameter, value: Any) -> Any:
    """What a form field holds, as the catalogue takes it; "" or an empty list for nothing."""
    if field.is_file:
        names = value if isinstance(value, list) else _names_in(value)
        return names[0] if field.type is ParameterType.IMAGE and len(names) == 1 else names
    return value.replace("\r\n", "\n") if field.type is ParameterType.TEXT else value.strip()


def _names_in(text: str) -> list[str]:
    return [name.strip() for name in re.split(r"[\r\n|]+", text) if name.strip()]


def _widget(field: Parameter, *, is_decided: bool) -> forms.Widget:
    nothing = ("", _nothing_chosen(field))
    match field.type:
        case ParameterType.CHOICE:
            words = [(word, word) for word in field.choices]
            return forms.Select(choices=words if is_decided and is_always_sent(field) else [nothing, *words])
        case ParameterType.BOOLEAN:
            return forms.Select(choices=[nothing, ("true", _("Yes")), ("false", _("No"))])
        case ParameterType.INTEGER:
            limits = {"min": field.minimum, "max": field.maximum, "placeholder": field.default}
            return forms.NumberInput({name: limit for name, limit in limits.items() if limit is not None})
        case ParameterType.IMAGE:
            return forms.TextInput()
        case ParameterType.IMAGES:
            return forms.Textarea({"rows": 2})
        case ParameterType.TEXT:
            return forms.Textarea({"rows": 3})


def _nothing_chosen(field: Parameter) -> str:
    """What happens when nothing is chosen."""
    if field.default is None:
        return gettext("As the model likes")
    word = {"True": gettext("Yes"), "False": gettext("No")}.get(str(field.default), field.default)
    return gettext("Usual (%(default)s)") % {"default": word}


def _how_to_name(field: Parameter) -> Promise:
    """How images are named in a text."""
    if field.type is ParameterType.IMAGE:
        return _("An address, or media:ID of an uploaded image.")
    return _("Addresses, or media:ID of uploaded images, one per line.")


def _help(field: Parameter) -> str:
    match field.type:
        case ParameterType.INTEGER:
            return _range(field)
        case ParameterType.IMAGE | ParameterType.IMAGES:
            return gettext(" · ").join(_file_limits(field))
        case _:
            return ""


def _range(field: Parameter) -> str:
    if field.minimum is None or field.maximum is None:
        return ""
    return gettext("From %(least)d to %(most)d.") % {"least": field.minimum, "most": field.maximum}


def _file_limits(field: Parameter) -> list[str]:
    limits = []
    if field.max_count:
        limits.append(ngettext("%d image at most", "%d images at most", field.max_count) % field.max_count)
    if field.formats:
        limits.append(", ".join(field.formats))
    if field.max_bytes:
        limits.append(gettext("%d MB at most") % (field.max_bytes // MEGABYTE))
    return limits


class FilesWidget(forms.Widget):
    """Images of the library to tick, and lines for addresses.  Its value is a list of ``media:ID`` and addresses."""

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
        return False  # nothing ticked is sent as nothing

    def get_context(self, name: str, value: Any, attrs: Mapping[str, Any] | None) -> dict[str, Any]:
        chosen = value.splitlines() if isinstance(value, str) else list(value or [])
        offered = {image.reference for image in self.images}
        context = super().get_context(name, None, dict(attrs or {}))
        context["widget"] |= {
            "images": [(image, image.reference in chosen) for image in self.images],
            "lines": "\n".join(word for word in chosen if word not in offered),
            "input": "radio" if self.is_single else "checkbox",
        }
        return context

    def id_for_label(self, id_: str) -> str:
        return f"{id_}-lines"


class FilesField(forms.Field):
    """A list of images; an empty one is "not given"."""

    def __init__(self, *, is_single: bool, **options: Any) -> None:
        super().__init__(**options)
        self.is_single = is_single

    def to_python(self, value: Any) -> list[str]:
        return list(value or [])

    def validate(self, value: list[str]) -> None:
        if self.is_single and len(value) > 1:
            raise forms.ValidationError(gettext("Choose one image only."))
