"""The upload area of pages: ``{% load uploads %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

register = template.Library()

# For the dialog of the browser; files without a known type are chosen by their ending.
ACCEPTED = "image/*,.heic,.heif,.avif"


@register.simple_block_tag
def uploader(
    content: str,
    id: str,  # noqa: A002  as in templates
    *,
    name: str = "",
    text: str = "",
    fills: str = "",
    offers: str = "",
    is_single: bool = False,
    is_primary: bool = False,
    is_small: bool = False,
) -> SafeString:
    """Render an upload area; ``media/uploader.js`` does the rest. The content is more buttons.

    ``name`` is the name of the file input in a form without scripts; without a name the area is
    hidden then. ``text`` says what the images are for. The references of stored images go into the
    text control with the id ``fills``, or as selected images into the list with the id ``offers``.
    ``is_single``: one image. ``is_primary``: also takes what is dropped or pasted elsewhere on the
    page.
    """
    limit = filesizeformat(settings.MEDIA_MAX_BYTES)
    words = {
        "comma": _(", "),
        "counts": _("%(done)s of %(all)s uploaded"),
        "known-count": _("%(n)s already in your library"),
        "refused-count": _("%(n)s refused"),
        "stored": pgettext("the state of a file", "Uploaded"),
        "known": _("Already in your library"),
        "too-big": _("%%(size)s is more than the limit of %(limit)s. Use a smaller image.") % {"limit": limit},
        "unreadable": _("The file can no longer be read. Choose it again."),
        "failed": _("The server could not store this file. Try again later."),
        "skipped": _("Skipped, because they are not images: %(names)s"),
        "skipped-many": _("Skipped, because they are not images: %(names)s and %(n)s more"),
        "offline": _("No connection. Uploads continue automatically when it is back."),
        "busy": _("The server is busy. Uploads continue automatically."),
        "signed-out": _("You are signed out. Sign in again in another tab to continue."),
        "other-person": _("Somebody else is signed in now. Sign in as yourself again to continue."),
        "drop": _("Drop to upload"),
        "leaving": _("Images are still uploading. Nothing was sent yet: wait until they have arrived, or stop them."),
    }
    context: dict[str, Any] = {
        "content": content,
        "id": id,
        "name": name,
        "text": text,
        "words": words,
        "attributes": {"data-fills": fills, "data-offers": offers},
        "is_single": is_single,
        "is_primary": is_primary,
        "is_small": is_small,
        "accepted": ACCEPTED,
        "limit": limit,
        "max_bytes": settings.MEDIA_MAX_BYTES,
    }
    return render_to_string("media/uploader.html", context)
