"""A provider with scripted answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from providers.adapters.base import (
    NO_UPDATES,
    Accepted,
    AccountStatus,
    Capabilities,
    Finished,
    Provider,
    ProviderSettings,
    RemoteState,
    RemoteStatus,
    SubmitRequest,
    Updates,
)
from providers.adapters.errors import ProviderError, Remedy


@dataclass
class Script:
    """Answers of the provider, and the calls that it received."""

    submit: Callable[[SubmitRequest, Updates], Any] = lambda request, updates: accepted("1")
    find: Callable[[str], RemoteState | None] = lambda our_id: None
    states: dict[str, RemoteState | ProviderError] = field(default_factory=dict)
    requests: list[SubmitRequest] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)


class ScriptedProvider(Provider):
    name = "scripted"
    label = "Scripted"
    account_name = "scripted"
    capabilities = Capabilities()
    defaults = ProviderSettings(base_url="https://scripted.example", concurrency=4, poll_floor_seconds=0.05)
    script = Script()

    def submit(self, request: SubmitRequest, updates: Updates = NO_UPDATES) -> Accepted | Finished:
        self.script.requests.append(request)
        answer = self.script.submit(request, updates)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def query(self, task_ids: Sequence[str]) -> dict[str, RemoteState | ProviderError]:
        return {task_id: self.script.states.get(task_id) or running(task_id) for task_id in task_ids}

    def find(self, our_id: str) -> RemoteState | None:
        self.script.lookups.append(our_id)
        return self.script.find(our_id)

    def cancel(self, task_id: str) -> bool:
        self.script.cancelled.append(task_id)
        self.script.states[task_id] = RemoteState(task_id, RemoteStatus.CANCELLED)
        return True

    def check_account(self) -> AccountStatus:
        return AccountStatus()

    @staticmethod
    def remedy_of(code: str) -> Remedy:
        return Remedy.NONE


def running(task_id: str, **more: Any) -> RemoteState:
    return RemoteState(task_id, RemoteStatus.RUNNING, **more)


def accepted(task_id: str, **more: Any) -> Accepted:
    return Accepted(running(task_id, **more))
