"""``manage.py simulator``: run a simulated provider for development, demonstrations and tests."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devtools.simulators.openai import cli as openai_cli
from devtools.simulators.runninghub import cli

PROVIDERS = {"runninghub": cli.run, "openai": openai_cli.run}


class Command(BaseCommand):
    help = "Run a simulated provider: it has the real wire format, costs nothing and fails on request."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--provider", choices=PROVIDERS, default="runninghub", help="the provider to simulate (runninghub)"
        )
        cli.add_options(parser)
        openai_cli.add_options(parser.add_argument_group("only with --provider openai"))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            PROVIDERS[options["provider"]](options)
        except (OSError, ValueError) as problem:
            raise CommandError(str(problem)) from problem
