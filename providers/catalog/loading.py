"""Reading and validation of the catalogue files.

Each provider has a file ``NAME.toml`` or a folder ``NAME/`` in this directory. The facts about the
provider itself stand at the top of ``NAME.toml`` or in ``NAME/provider.toml``; ``[[model]]`` blocks
follow, or stand in other files of the folder. ``docs/models.md`` explains the format.
"""

from __future__ import annotations

import functools
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr, ValidationError

from core.errors import FieldError
from providers.catalog.models import Model
from providers.catalog.task_types import RESULT_KINDS, TaskType

DIRECTORY = Path(__file__).parent
DEADLINE_SECONDS = 3600  # where neither the model nor its provider's file has one


class CatalogError(Exception):
    """A mistake in the catalogue. The message names the file and the endpoint, for its author."""


class ProviderDefaults(BaseModel):
    """Facts that all models of a provider share unless a model has its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: StrictStr
    currency: StrictStr = ""
    max_attempts: StrictInt = 2
    deadlines: dict[StrictStr, StrictInt] = {}  # seconds by kind of result: image, video, text
    batch_fields: dict[TaskType, StrictStr] = {}  # of models that are not in the catalogue
    file_suffixes: tuple[StrictStr, ...] = ()  # endings of the names of parameters that hold files
    reserved: tuple[StrictStr, ...] = ()
    allows_free_form: StrictBool = False

    def build(self, definition: Mapping[str, Any]) -> Model:
        """Return the model that a ``[[model]]`` block describes.

        Raises pydantic's ValidationError.
        """
        kind = RESULT_KINDS.get(str(definition.get("task_type")), "")
        defaults = {
            "deadline_seconds": self.deadlines.get(kind, DEADLINE_SECONDS),
            "max_attempts": self.max_attempts,
            "currency": self.currency,
        }
        return Model.model_validate(
            defaults | dict(definition) | {"provider": self.provider, "reserved": self.reserved, "is_free_form": False}
        )

    def free_form(self, endpoint: str, task_type: TaskType) -> Model:
        """Return a stand-in for an endpoint that is not in the catalogue."""
        return Model.model_validate(
            {
                "provider": self.provider,
                "endpoint": endpoint,
                "name": endpoint,
                "task_type": task_type,
                "batch_field": self.batch_fields.get(task_type, "prompt"),
                "deadline_seconds": self.deadlines.get(RESULT_KINDS[task_type], DEADLINE_SECONDS),
                "max_attempts": self.max_attempts,
                "currency": self.currency,
                "reserved": self.reserved,
                "file_suffixes": self.file_suffixes,
                "is_free_form": True,
            }
        )


class ModelFile(BaseModel):
    """A file that holds models, and lists of choices that they refer to by name."""

    model_config = ConfigDict(extra="forbid")

    choices: dict[StrictStr, list[StrictStr]] = {}
    model: list[dict[str, Any]] = []


class ProviderFile(ProviderDefaults, ModelFile):
    """A file that also holds the facts about the provider."""


@dataclass(slots=True)
class Catalogue:
    """All models of the files and what their providers have in common.

    The models are in their order, those with a successor last.
    """

    models: dict[tuple[str, str], Model] = field(default_factory=dict)  # by (provider, endpoint)
    providers: dict[str, ProviderDefaults] = field(default_factory=dict)

    def defaults_of(self, provider: str) -> ProviderDefaults:
        return self.providers.get(provider) or ProviderDefaults(provider=provider)


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue of the shipped files, read once per process. Raises CatalogError."""
    return load(DIRECTORY)


def load(directory: Path) -> Catalogue:
    """Read a directory of catalogue files, folders first: RunningHub's models lead lists.

    Raises CatalogError for the first file with mistakes.
    """
    loaded = Catalogue()
    file_names: dict[tuple[str, str], str] = {}
    headers = [*directory.glob("*.toml"), *directory.glob("*/provider.toml")]
    for header in sorted(headers, key=lambda path: (path.parent == directory, str(path))):
        defaults = _read(header, ProviderFile)
        loaded.providers[defaults.provider] = ProviderDefaults(
            **{name: getattr(defaults, name) for name in ProviderDefaults.model_fields}
        )
        folder = [] if header.parent == directory else sorted(header.parent.glob("*.toml"))
        others = [(path, _read(path, ModelFile)) for path in folder if path != header]
        for path, content in [(header, defaults), *others]:
            for block in content.model:
                model = _build(path, block, content.choices, loaded.providers[defaults.provider])
                key = (model.provider, model.endpoint)
                if key in loaded.models:
                    raise CatalogError(f"{path.name}: {model.endpoint}: this endpoint is listed twice")
                loaded.models[key] = model
                file_names[key] = path.name
    endpoints = Counter(endpoint for _provider, endpoint in loaded.models)
    for key, model in loaded.models.items():
        if endpoints[model.endpoint] == 1:
            loaded.models[key] = model.model_copy(update={"has_unique_endpoint": True})
    for key, model in loaded.models.items():
        successor = loaded.models.get((model.provider, model.successor))
        if model.successor and (successor is None or successor.task_type != model.task_type):
            place = f"{file_names[key]}: {model.endpoint}"
            raise CatalogError(f"{place}: successor {model.successor!r} is no {model.task_type} model")
    loaded.models = dict(sorted(loaded.models.items(), key=lambda entry: bool(entry[1].successor)))
    for task_type in TaskType:
        defaults_of_type = [
            model for model in loaded.models.values() if model.is_default and model.task_type == task_type
        ]
        if len(defaults_of_type) > 1:
            names = ", ".join(model.endpoint for model in defaults_of_type)
            raise CatalogError(f"{task_type} has more than one model with is_default: {names}")
    return loaded


_File = TypeVar("_File", bound=ModelFile)


def _read(path: Path, kind: type[_File]) -> _File:
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{path.name}: {error}") from error
    except ValidationError as error:
        raise CatalogError(f"{path.name}: {describe(error)}") from error


def _build(path: Path, block: dict[str, Any], choices: Mapping[str, list[str]], defaults: ProviderDefaults) -> Model:
    """Return the model of one block, with the lists that its ``choices`` name."""
    place = f"{path.name}: {block.get('endpoint', 'a model')}"
    parameters = block.get("parameters")
    for name, spec in parameters.items() if isinstance(parameters, dict) else ():
        if isinstance(spec, dict) and isinstance(list_name := spec.get("choices"), str):
            if list_name not in choices:
                names = ", ".join(choices) or "none"
                raise CatalogError(f"{place}: {name}: no list of choices is named {list_name!r}; there are: {names}")
            spec["choices"] = choices[list_name]
    try:
        return defaults.build(block)
    except ValidationError as error:
        raise CatalogError(f"{place}: {describe(error)}") from error


def describe(error: ValidationError) -> str:
    """Return all errors of a definition in one line for its author."""
    return "; ".join(": ".join(filter(None, [problem.field, problem.message])) for problem in definition_errors(error))


def definition_errors(error: ValidationError) -> list[FieldError]:
    """Return pydantic's errors with their places, such as ``parameters.size.choices``."""
    problems = error.errors(include_url=False)
    return [
        FieldError(".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, "))
        for problem in problems
    ]
