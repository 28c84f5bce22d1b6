"""``make messages``: collects the texts to translate, those in the providers' tables of errors among them."""

from __future__ import annotations

from django.core.management.commands import makemessages


class Command(makemessages.Command):
    # Providers know no Django; in their tables a sentence for people is the second argument of Row.
    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=Row:2"]
