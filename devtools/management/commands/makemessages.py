"""``make messages``: collect the texts to translate, including those in the providers' error
tables.
"""

from __future__ import annotations

from typing import Any

import polib
from django.conf import settings
from django.core.management.commands import makemessages


class Command(makemessages.Command):
    """Django's command, with one stable order.

    Entries are sorted by text and carry no source locations, so moving code changes no translation
    file and two branches that add texts merge.
    """

    xgettext_options = [
        *makemessages.Command.xgettext_options,
        "--keyword=Row:2",
        "--keyword=Failure:2",
        "--keyword=define:2",
        "--keyword=translatable:1",
    ]

    def handle(self, *args: Any, **options: Any) -> None:
        super().handle(*args, **options)
        for path in (folder for root in settings.LOCALE_PATHS for folder in root.glob("*/LC_MESSAGES/django.po")):
            catalogue = polib.pofile(str(path), wrapwidth=100_000)
            for entry in catalogue:
                entry.occurrences = []
            catalogue.sort(key=lambda entry: (entry.obsolete, entry.msgid, entry.msgctxt or ""))
            catalogue.metadata.pop("POT-Creation-Date", None)
            catalogue.save()
