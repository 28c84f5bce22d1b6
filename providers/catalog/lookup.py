"""Finding models by provider and endpoint.

A model is written as ``endpoint``, or as ``provider:endpoint`` where an endpoint exists at several
providers. No endpoint contains a colon.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Protocol

from django.conf import settings
from django.utils.translation import gettext as _

from providers.catalog import rows
from providers.catalog.loading import DEADLINE_SECONDS, catalogue
from providers.catalog.models import ENDPOINT_PATTERN, Model
from providers.catalog.task_types import TaskType
from providers.models import ProviderModel

_ENDPOINT = re.compile(ENDPOINT_PATTERN)


class UnknownModel(LookupError):
    """No model has that endpoint, or several have it. The message is for people."""


def split(name: str, provider: str = "") -> tuple[str, str]:
    """Return (provider, endpoint) of ``openai:chat``, or ("", endpoint) of ``chat``."""
    if provider or ":" not in name:
        return provider, name.removeprefix(f"{provider}:") if provider else name
    provider, _colon, endpoint = name.partition(":")
    return provider, endpoint


def get_model(name: str, provider: str = "", *, owner_id: int | None = None) -> Model:
    """Return a model by its endpoint, or by ``provider:endpoint``.

    The catalogue's files come first, then the models that ``owner_id`` added, then the shared ones.
    Raises UnknownModel when there is none, or when several providers have the endpoint.
    """
    provider, endpoint = split(name, provider)
    matches = _in_files(endpoint, provider) or rows.find(endpoint, provider, owner_id)
    if not matches:
        raise UnknownModel(_('"%(endpoint)s" is not in the catalogue.') % {"endpoint": name})
    if len({model.provider for model in matches}) > 1:
        names = ", ".join(f"{model.provider}:{model.endpoint}" for model in matches)
        message = _('"%(endpoint)s" exists at several providers. Choose one of: %(names)s.')
        raise UnknownModel(message % {"endpoint": endpoint, "names": names})
    return matches[0]


def _in_files(endpoint: str, provider: str) -> list[Model]:
    models = catalogue().models
    if provider:
        return [models[provider, endpoint]] if (provider, endpoint) in models else []
    return [model for model in models.values() if model.endpoint == endpoint]


class StoredMission(Protocol):
    """The fields of a mission that say which model it uses."""

    provider: str
    model: str
    task_type: str
    owner_id: int


def model_of(mission: StoredMission) -> Model:
    """Return the model of a stored mission, even if it was removed since.

    A free-form stand-in takes the place of a model that is nowhere to be found. Only models that
    people added cost a query.
    """
    matches = _in_files(mission.model, mission.provider)
    matches = matches or rows.find(mission.model, mission.provider, mission.owner_id, is_stored=True)
    return matches[0] if matches else free_form_model(mission.model, mission.task_type, mission.provider)


def find_model(name: str, task_type: str, provider: str = "", *, owner_id: int | None = None) -> Model:
    """Return a model as ``get_model`` does, or a free-form stand-in for an unknown endpoint.

    Raises UnknownModel when ``name`` cannot be an endpoint, ValueError for an unknown task type.
    """
    try:
        return get_model(name, provider, owner_id=owner_id)
    except UnknownModel:
        return free_form_model(name, task_type, provider)


def free_form_model(name: str, task_type: str, provider: str = "") -> Model:
    """Return a stand-in for a model that is not in the catalogue.

    Its parameters pass unchecked and its price is unknown. Without a provider it belongs to the
    first one that allows models outside the catalogue. Raises UnknownModel when ``name`` cannot be
    an endpoint, ValueError for an unknown task type.
    """
    provider, endpoint = split(name, provider)
    if not _ENDPOINT.fullmatch(endpoint):
        message = _('"%(endpoint)s" cannot be a model. Write it as "family/model".')
        raise UnknownModel(message % {"endpoint": endpoint})
    providers = catalogue().providers.values()
    provider = provider or next((each.provider for each in providers if each.allows_free_form), "")
    return catalogue().defaults_of(provider).free_form(endpoint, TaskType(task_type))


def all_models(task_type: str | None = None, *, provider: str = "", owner_id: int | None = None) -> list[Model]:
    """Return all models in their order, of one task type or provider if given.

    With ``owner_id`` the models that this person added and the shared ones follow those of the
    catalogue's files.
    """
    models = list(catalogue().models.values())
    if owner_id is not None:
        added = rows.models_of_rows(ProviderModel.objects.visible_to(owner_id).current().filter(is_enabled=True))
        keys = {(model.provider, model.endpoint) for model in models}
        for model in added:
            if (model.provider, model.endpoint) not in keys:
                keys.add((model.provider, model.endpoint))
                models.append(model)
    return [model for model in models if task_type in (None, model.task_type) and provider in ("", model.provider)]


def offered_task_types() -> list[TaskType]:
    """Return the task types that a model of the catalogue's files has."""
    present = {model.task_type for model in catalogue().models.values()}
    return [task_type for task_type in TaskType if task_type in present]


def default_model(task_type: str, *, provider: str = "") -> Model:
    """Return the model for a mission that names none.

    ``settings.DEFAULT_MODELS`` decide, else ``is_default`` in the catalogue. For a provider without
    this default it is the provider's only model of the task type. Raises UnknownModel when
    there is no default, or the settings name a model of another task type.
    """
    name = settings.DEFAULT_MODELS.get(task_type, "")
    models = all_models(task_type)  # of the files only: system checks ask before there is a database
    own_provider, endpoint = split(name)
    if name:
        defaults = [each for each in models if each.endpoint == endpoint and own_provider in ("", each.provider)]
    else:
        defaults = [model for model in models if model.is_default]
    if provider:
        models = [model for model in models if model.provider == provider]
        defaults = [model for model in defaults if model.provider == provider] or (models if len(models) == 1 else [])
    if not defaults:
        message = _('No model "%(endpoint)s" for %(task_type)s in the catalogue.')
        raise UnknownModel(message % {"endpoint": name or provider, "task_type": task_type})
    return defaults[0]


def find_default(task_type: str) -> Model | None:
    """Return ``default_model``, or None if there is none."""
    try:
        return default_model(task_type)
    except UnknownModel:
        return None


def shortest_deadline() -> timedelta:
    """Return the shortest ``deadline_seconds`` of all models."""
    added = rows.models_of_rows(ProviderModel.objects.only("pk", "updated_at"))
    models = [*catalogue().models.values(), *added]
    return timedelta(seconds=min((model.deadline_seconds for model in models), default=DEADLINE_SECONDS))
