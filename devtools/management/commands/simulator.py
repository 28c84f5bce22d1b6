"""``manage.py simulator``: a RunningHub that costs nothing, for development, demonstrations and tests."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devtools.simulators.runninghub import cli


class Command(BaseCommand):
    help = cli.DESCRIPTION
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            cli.run(options)
        except (OSError, ValueError) as problem:
            raise CommandError(str(problem)) from problem
