"""Which model a provider and an endpoint mean.

A model is written as ``endpoint``, or as ``provider:endpoint`` where an endpoint exists at several
providers. No endpoint contains a colon.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Protocol

from django.conf import settings
from django.utils.translation import gettext as _

from providers.catalog.loading import DEADLINE_SECONDS, catalogue
from providers.catalog.models import ENDPOINT_PATTERN, Model
from providers.catalog.task_types import TaskType

_ENDPOINT = re.compile(ENDPOINT_PATTERN)


class UnknownModel(LookupError):
    """No model has that endpoint, or several have it. The message is for people."""


def split(name: str, provider: str = "") -> tuple[str, str]:
    """Return (provider, endpoint) of a name such as ``openai:chat`` or ``chat``; an unknown provider is ""."""
    if provider or ":" not in name:
        return provider, name.removeprefix(f"{provider}:") if provider else name
    provider, _colon, endpoint = name.partition(":")
    return provider, endpoint


def get_model(name: str, provider: str = "") -> Model:
    """Return a model of the catalogue by its endpoint, or by ``provider:endpoint``.

    Raises UnknownModel when there is none, or when several providers have the endpoint.
    """
    provider, endpoint = split(name, provider)
    models = catalogue().models
    if provider:
        matches = [models[provider, endpoint]] if (provider, endpoint) in models else []
    else:
        matches = [model for model in models.values() if model.endpoint == endpoint]
    if len(matches) > 1:
        names = ", ".join(f"{model.provider}:{model.endpoint}" for model in matches)
        message = _('"%(endpoint)s" exists at several providers. Choose one of: %(names)s.')
        raise UnknownModel(message % {"endpoint": endpoint, "names": names})
    if not matches:
        raise UnknownModel(_('"%(endpoint)s" is not in the catalogue.') % {"endpoint": name})
    return matches[0]


def name_of(model: Model) -> str:
    """Return the shortest name under which ``get_model`` finds a model: its endpoint, or ``provider:endpoint``."""
    same = [each for each in catalogue().models.values() if each.endpoint == model.endpoint]
    return model.endpoint if len(same) == 1 else f"{model.provider}:{model.endpoint}"


class StoredMission(Protocol):
    """The fields of a mission that say which model it uses."""

    provider: str
    model: str
    task_type: str


def model_of(mission: StoredMission) -> Model:
    """Return the model of a stored mission: from the catalogue, or a free-form stand-in if it is not there."""
    return find_model(mission.model, mission.task_type, mission.provider)


def find_model(name: str, task_type: str, provider: str = "") -> Model:
    """Return a model of the catalogue, or a free-form stand-in for an endpoint that is not there.

    Raises UnknownModel when ``name`` cannot be an endpoint, ValueError for an unknown task type.
    """
    try:
        return get_model(name, provider)
    except UnknownModel:
        return free_form_model(name, task_type, provider)


def free_form_model(name: str, task_type: str, provider: str = "") -> Model:
    """Return a stand-in for a model that is not in the catalogue: parameters pass unchecked, the price is unknown.

    Without a provider it is the first one that allows models outside the catalogue. Raises
    UnknownModel when ``name`` cannot be an endpoint, ValueError for an unknown task type.
    """
    provider, endpoint = split(name, provider)
    if not _ENDPOINT.fullmatch(endpoint):
        message = _('"%(endpoint)s" cannot be a model. Write it as "family/model".')
        raise UnknownModel(message % {"endpoint": endpoint})
    providers = catalogue().providers.values()
    provider = provider or next((each.provider for each in providers if each.allows_free_form), "")
    return catalogue().defaults_of(provider).free_form(endpoint, TaskType(task_type))


def all_models(task_type: str | None = None, *, provider: str = "") -> list[Model]:
    """Return the catalogue's models in its order, of one task type or provider if given."""
    return [
        model
        for model in catalogue().models.values()
        if task_type in (None, model.task_type) and provider in ("", model.provider)
    ]


def offered_task_types() -> list[TaskType]:
    """Return the task types that at least one model has."""
    present = {model.task_type for model in all_models()}
    return [task_type for task_type in TaskType if task_type in present]


def default_model(task_type: str) -> Model:
    """Return the model for a mission that names none: of ``settings.DEFAULT_MODELS``, else the catalogue's own.

    Raises UnknownModel when the settings name a model that the task type does not have, or when there
    is no default at all.
    """
    name = settings.DEFAULT_MODELS.get(task_type, "")
    provider, endpoint = split(name)
    for model in all_models(task_type):
        if (model.endpoint == endpoint and provider in ("", model.provider)) or (model.is_default and not name):
            return model
    message = _('No model "%(endpoint)s" for %(task_type)s in the catalogue.')
    raise UnknownModel(message % {"endpoint": name, "task_type": task_type})


def find_default(task_type: str) -> Model | None:
    """Return ``default_model``, or None if there is none."""
    try:
        return default_model(task_type)
    except UnknownModel:
        return None


def shortest_deadline() -> timedelta:
    """Return the shortest wait for a result that any model has."""
    return timedelta(seconds=min((model.deadline_seconds for model in all_models()), default=DEADLINE_SECONDS))
