"""Labels of parameters for people. Without one, its name is split into words."""

from __future__ import annotations

import re

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

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
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def parameter_label(name: str) -> str:
    """``aspectRatio`` → "Aspect ratio"."""
    label = _LABELS.get(name)
    return str(label) if label else _HUMP.sub(" ", name).replace("_", " ").capitalize()
