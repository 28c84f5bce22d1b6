"""The providers. A new one is a folder beside this file and a line here."""

from __future__ import annotations

from providers.adapters.base import Provider
from providers.adapters.local.adapter import Local
from providers.adapters.openai.adapter import OpenAI
from providers.adapters.runninghub.adapter import RunningHub

PROVIDERS: dict[str, type[Provider]] = {
    RunningHub.name: RunningHub,
    OpenAI.name: OpenAI,
    Local.name: Local,
}
