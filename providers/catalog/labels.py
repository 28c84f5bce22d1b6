"""Labels of parameters and of their choices. Without one, a name is split."""

from __future__ import annotations

import re

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

_LABELS: dict[str, Promise] = {
    "prompt": _("Prompt"),
    "negativePrompt": _("Negative prompt"),
    "imageUrl": _("Image"),
    "imageUrls": _("Images"),
    "image": _("Image"),
    "firstFrameUrl": _("First frame"),
    "lastFrameUrl": _("Last frame"),
    "firstImageUrl": _("First image"),
    "lastImageUrl": _("Last image"),
    "aspectRatio": _("Aspect ratio"),
    "ratio": _("Aspect ratio"),
    "resolution": _("Resolution"),
    "quality": _("Quality"),
    "size": _("Size"),
    "duration": _("Duration in seconds"),
    "background": _("Background"),
    "inputFidelity": _("Input fidelity"),
    "outputFormat": _("Output format"),
    "generateAudio": _("With sound"),
    "returnLastFrame": _("Also return the last frame"),
    "storyboard": _("Storyboard"),
    "webSearch": _("Web search"),
    "seed": _("Seed"),
    "model": _("Model variant"),
    "move": _("Camera move"),
    "easing": _("Easing"),
    "fps": _("Frames per second"),
    "strength": _("Strength"),
    "system": _("System prompt"),
    "temperature": _("Temperature"),
    "max_tokens": _("Longest answer, in tokens"),
    "response_schema": _("JSON Schema of the answer"),
    "images": _("Images"),
    "custom_id": _("Custom ID"),
}
# Choices without a label are shown as they are: numbers, sizes, names of formats.
_CHOICES: dict[str, Promise] = {
    "auto": pgettext_lazy("choice", "Automatic"),
    "adaptive": pgettext_lazy("choice", "Adaptive"),
    "low": pgettext_lazy("choice", "Low"),
    "medium": pgettext_lazy("choice", "Medium"),
    "high": pgettext_lazy("choice", "High"),
    "transparent": pgettext_lazy("choice", "Transparent"),
    "opaque": pgettext_lazy("choice", "Opaque"),
    "zoom_in": pgettext_lazy("choice", "Zoom in"),
    "zoom_out": pgettext_lazy("choice", "Zoom out"),
    "pan_left": pgettext_lazy("choice", "Pan left"),
    "pan_right": pgettext_lazy("choice", "Pan right"),
    "pan_up": pgettext_lazy("choice", "Pan up"),
    "pan_down": pgettext_lazy("choice", "Pan down"),
    "static": pgettext_lazy("choice", "Static"),
    "ease_in_out": pgettext_lazy("choice", "Slow start and end"),
    "ease_in": pgettext_lazy("choice", "Slow start"),
    "ease_out": pgettext_lazy("choice", "Slow end"),
    "linear": pgettext_lazy("choice", "Even"),
}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def parameter_label(name: str) -> str:
    """``aspectRatio`` → "Aspect ratio"."""
    label = _LABELS.get(name)
    return str(label) if label else _HUMP.sub(" ", name).replace("_", " ").capitalize()


def choice_label(choice: str) -> str:
    """Return a choice for people: "Medium" for ``medium``; one without a label stays as it is."""
    return str(_CHOICES.get(choice, choice))
