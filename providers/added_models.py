"""Models that people add to the catalogue: create, change, remove."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import ValidationError

from core.errors import FieldError, Invalid, NotPossible
from providers.adapters.registry import PROVIDERS
from providers.catalog import rows
from providers.catalog.loading import catalogue, definition_errors
from providers.catalog.models import ENDPOINT_PATTERN
from providers.models import ProviderModel

MAX_DEFINITION_BYTES = 64 * 1024
MAX_NAME = 200
MAX_MODELS = 500  # of one person
_ENDPOINT = re.compile(ENDPOINT_PATTERN)
# Tell if an open mission uses a model; other apps register theirs.
_use_checks: list[Callable[[ProviderModel], bool]] = []


class ModelInvalid(Invalid):
    """The model cannot be saved.

    ``errors`` lists all errors, such as one of ``definition.parameters.size``.
    """


def register_use_check(is_used: Callable[[ProviderModel], bool]) -> None:
    """Register a function that tells if an open mission uses a model."""
    _use_checks.append(is_used)


def create_model(
    *,
    user: AbstractUser,
    provider: str,
    endpoint: str,
    name: str,
    definition: Mapping[str, Any],
    is_shared: bool = False,
    is_enabled: bool = True,
) -> ProviderModel:
    """Add a model to the catalogue for its owner.

    Only staff may share it or give it a price. Raises ModelInvalid.
    """
    if ProviderModel.objects.current().filter(owner_id=user.pk).count() >= MAX_MODELS:
        raise NotPossible(_("You have %d models already. Remove one first.") % MAX_MODELS)
    row = ProviderModel(owner_id=user.pk, provider=provider, endpoint=endpoint)
    _save(row, user, {"name": name, "definition": definition, "is_shared": is_shared, "is_enabled": is_enabled})
    return row


def update_model(*, user: AbstractUser, model: ProviderModel, **changes: Any) -> ProviderModel:
    """Change ``name``, ``definition``, ``is_shared`` or ``is_enabled`` of a model.

    Raises ModelInvalid. While an open mission uses the model, its definition cannot change, because
    items were checked against it, and it stays shared; then this raises NotPossible.
    """
    with transaction.atomic():
        row = ProviderModel.objects.current().select_for_update(no_key=True, of=("self",)).get(pk=model.pk)
        has_new_definition = "definition" in changes and changes["definition"] != row.definition
        is_withdrawn = row.is_shared and changes.get("is_shared") is False
        if (has_new_definition or is_withdrawn) and is_used(row):
            raise NotPossible(in_use_message())
        _save(row, user, changes)
    return row


def remove_model(*, model: ProviderModel) -> None:
    """Remove a model from the catalogue. Missions that use it go on and stay readable."""
    now = timezone.now()
    ProviderModel.objects.current().filter(pk=model.pk).update(removed_at=now, updated_at=now)


def is_used(model: ProviderModel) -> bool:
    """Tell if an open mission uses a model."""
    return any(check(model) for check in _use_checks)


def in_use_message() -> str:
    return _("A mission that has not ended uses this model. Add the change under another endpoint, or wait.")


def model_errors(row: ProviderModel, *, is_operator: bool) -> list[FieldError]:
    """Return all errors in a model. Only operators may share a model or give it a price."""
    errors = []
    if row.provider not in PROVIDERS:
        errors.append(FieldError("provider", _("Choose one of %s.") % ", ".join(PROVIDERS)))
    if not _ENDPOINT.fullmatch(row.endpoint) or len(row.endpoint) > MAX_NAME:
        errors.append(FieldError("endpoint", _('Write the endpoint as "family/model", without a leading slash.')))
    elif (row.provider, row.endpoint) in catalogue().models:
        errors.append(FieldError("endpoint", _("This endpoint is in the catalogue already.")))
    if not row.name.strip() or len(row.name) > MAX_NAME or "\0" in row.name:
        errors.append(FieldError("name", _("Give the model a name of at most 200 characters.")))
    definition = row.definition
    if not isinstance(definition, Mapping):
        return [*errors, FieldError("definition", _("Must be a JSON object."))]
    if len(json.dumps(definition)) > MAX_DEFINITION_BYTES:
        message = _("At most %(limit)s bytes of JSON.") % {"limit": f"{MAX_DEFINITION_BYTES:,}"}
        return [*errors, FieldError("definition", message)]
    for key in definition:
        if key not in rows.DEFINITION_KEYS:
            message = _("Unknown key. Allowed: %s.") % ", ".join(sorted(rows.DEFINITION_KEYS))
            errors.append(FieldError(f"definition.{key}", message))
    if not is_operator and {"price", "currency"} & set(definition):
        # A person's own price would bypass that person's spending limit.
        errors.append(FieldError("definition.price", _("Only operators may set a price.")))
    try:
        rows.build(row)
    except ValidationError as error:
        errors += [
            FieldError(f"definition.{problem.field}" if problem.field else "definition", problem.message)
            for problem in definition_errors(error)
            if problem.field not in ("name", "endpoint")
        ]
    return errors


def _save(row: ProviderModel, user: AbstractUser, changes: Mapping[str, Any]) -> None:
    is_operator = user.has_perm("providers.change_providermodel")
    was_shared, had_price = row.pk is not None and row.is_shared, "price" in row.definition
    for attribute, value in changes.items():
        setattr(row, attribute, value)
    keeps_price = had_price and "definition" not in changes
    errors = model_errors(row, is_operator=is_operator or keeps_price)
    if row.is_shared and not was_shared and not is_operator:
        errors.append(FieldError("is_shared", _("Only operators may share a model.")))
    if was_shared and "definition" in changes and not is_operator:
        errors.append(FieldError("definition", _("Only operators may change a shared model.")))
    if errors:
        raise ModelInvalid(errors)
    row.name = row.name.strip()
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError:
        message = _("There is already a model with this endpoint.")
        raise ModelInvalid([FieldError("endpoint", message)]) from None
