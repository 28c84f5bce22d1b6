#!/usr/bin/env python
"""Django's command line."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "runninghub_batch.settings")
    if sys.argv[1:] in (["version"], ["--version"]):  # Django would tell its own
        from core.version import VERSION

        print(VERSION)  # noqa: T201
    else:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
