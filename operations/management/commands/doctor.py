"""``manage.py doctor``: check every part, and say how to fix what is wrong."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from operations import doctor
from operations.doctor import Level


class Command(BaseCommand):
    help = (
        "Check settings, database, workers, storage, keys, clocks and the public URL. Exit code 1: something is broken."
    )
    requires_system_checks = []  # they are part of the report

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="print a list of objects")

    def handle(self, *args: Any, as_json: bool, **options: Any) -> None:
        findings = []
        for finding in doctor.examine():
            findings.append(finding)
            if not as_json:
                self.stdout.write(f"{finding.level:<5} {finding.part}: {finding.message}")
                if finding.remedy:
                    self.stdout.write(f"      → {finding.remedy}")
        if as_json:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
        if any(finding.level is Level.FAIL for finding in findings):
            raise SystemExit(1)
