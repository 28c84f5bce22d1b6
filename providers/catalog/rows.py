"""Models that people added: rows of ProviderModel, read as models of the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError

from providers.catalog.loading import catalogue, describe
from providers.catalog.models import Model
from providers.models import ProviderModel

logger = logging.getLogger(__name__)
# What a person may write in a definition. The rest has columns of its own, or is the operator's.
DEFINITION_KEYS = frozenset(
    {"task_type", "batch_field", "parameters", "price", "currency", "note", "deadline_seconds", "max_attempts"}
)
# Built models by primary key, with the time of the change that they show. Every process reads the
# row itself, so a change is seen everywhere at once; only the building is saved.
_built: dict[int, tuple[datetime, Model | None]] = {}


def build(row: ProviderModel) -> Model:
    """Return the model that a row describes. Raises pydantic's ValidationError."""
    definition = {key: value for key, value in row.definition.items() if key in DEFINITION_KEYS}
    columns = {"endpoint": row.endpoint, "name": row.name, "owner_id": row.owner_id, "is_added": True}
    return catalogue().defaults_of(row.provider).build(definition | columns)


def models_of_rows(rows: Iterable[ProviderModel]) -> list[Model]:
    """Return the models of rows, skipping rows whose definition is not valid."""
    models = []
    for row in rows:
        changed_at, model = _built.get(row.pk, (None, None))
        if changed_at != row.updated_at:
            try:
                model = build(row)
            except (ValidationError, AttributeError) as error:
                reason = describe(error) if isinstance(error, ValidationError) else "the definition is no object"
                logger.warning("Model %s (%s) is left out: %s", row.pk, row.endpoint, reason)
                model = None
            _built[row.pk] = (row.updated_at, model)
        if model is not None:
            models.append(model)
    return models


def model_of_row(row: ProviderModel) -> Model:
    """Return the model of a row that was just saved."""
    [model] = models_of_rows([row])
    return model


def find(endpoint: str, provider: str, owner_id: int | None, *, is_stored: bool = False) -> list[Model]:
    """Return the added models with an endpoint that a person may use: own ones before shared ones.

    ``is_stored``: the mission exists already, so models that were disabled or removed count, too.
    """
    rows = ProviderModel.objects.visible_to(owner_id).filter(endpoint=endpoint)
    if provider:
        rows = rows.filter(provider=provider)
    if is_stored:
        return models_of_rows(sorted(rows, key=lambda row: row.removed_at is not None))
    return models_of_rows(rows.current().filter(is_enabled=True))
