"""Which providers there are.  A new one is a folder beside this file and a line here."""

from __future__ import annotations

from missions.providers.base import Provider
from missions.providers.runninghub.adapter import RunningHub

PROVIDERS: dict[str, type[Provider]] = {RunningHub.name: RunningHub}
