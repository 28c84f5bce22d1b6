"""What a template may hold, by the catalogue.

A template lives in ``templates_app``, which knows no models; whoever saves one asks here first.  It is half a mission: any
parameter may be missing, but what is there must be valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.utils.translation import gettext as _

from core.errors import FieldError
from missions import services
from providers import catalog
from providers.catalog.task_types import TaskType
from templates_app.models import MissionTemplate
from templates_app.services import TemplateInvalid


def clean_config(*, owner: AbstractBaseUser, task_type: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{model, params, batch_fields}`` as it is to be stored.  Raises TemplateInvalid with all that is wrong.

    A blank ``model`` stays blank: the template follows the default of its task type.  Without ``batch_fields`` rows fill
    the model's own batch field.
    """
    model = _model(task_type, config.get("model") or "")
    params, errors = _clean_params(model, config.get("params") or {})
    fields = list(config.get("batch_fields") or [model.batch_field])
    errors += _batch_field_problems(model, fields)
    errors += _file_problems(owner, model, params)
    if errors:
        raise TemplateInvalid(errors)
    return {"model": config.get("model") or "", "params": params, "batch_fields": fields}


def problems(template: MissionTemplate) -> Sequence[FieldError]:
    """Why a stored template cannot be used (any more).

    Its model has left the catalogue, or takes other parameters now, or an image that it names was deleted.
    """
    if not _is_config(template.config):
        return [FieldError("config", _("This is no config: save the template again."))]
    try:
        model = _model(template.task_type, template.config.get("model") or "")
    except TemplateInvalid as invalid:
        return invalid.errors
    params, errors = _clean_params(model, template.config.get("params") or {})
    errors += _batch_field_problems(model, template.config.get("batch_fields") or [])
    return errors + _file_problems(template.owner, model, params)


def _is_config(config: Any) -> bool:
    """Whether what is stored has the shape that ``clean_config`` gives.  In the admin anything can be written."""
    return (
        isinstance(config, dict)
        and isinstance(config.get("model") or "", str)
        and isinstance(config.get("params") or {}, dict)
        and isinstance(names := config.get("batch_fields") or [], list)
        and all(isinstance(name, str) for name in names)
    )


def _model(task_type: str, endpoint: str) -> catalog.Model:
    if task_type not in TaskType.values:
        raise TemplateInvalid([FieldError("task_type", _("Choose one of %s.") % ", ".join(TaskType.values))])
    try:
        model = catalog.get_model(endpoint) if endpoint else catalog.default_model(task_type)
    except catalog.UnknownModel as error:
        raise TemplateInvalid([FieldError("config.model", str(error))]) from None
    if model.task_type != task_type:
        known = {"model": endpoint, "makes": model.task_type, "wanted": task_type}
        raise TemplateInvalid([FieldError("config.model", _("%(model)s makes %(makes)s, not %(wanted)s.") % known)])
    return model


def _clean_params(model: catalog.Model, params: Any) -> tuple[dict[str, Any], list[FieldError]]:
    try:
        return model.clean_partial(params), []
    except catalog.ParamsInvalid as invalid:
        return {}, [FieldError(_param(error.field), error.message) for error in invalid.errors]


def _file_problems(owner: AbstractBaseUser, model: catalog.Model, params: Mapping[str, Any]) -> list[FieldError]:
    return [FieldError(_param(error.field), error.message) for error in services.file_problems(owner, model, params)]


def _param(name: str) -> str:
    return f"config.params.{name}" if name else "config.params"


def _batch_field_problems(model: catalog.Model, names: Iterable[str]) -> list[FieldError]:
    allowed = ", ".join(field.name for field in model.parameters)
    found, seen = [], set()
    for number, name in enumerate(names):
        if model.parameter(name) is None:
            message = _("The model has no such parameter. Allowed: %s.") % allowed
            found.append(FieldError(f"config.batch_fields.{number}", message))
        elif name in seen:
            found.append(FieldError(f"config.batch_fields.{number}", _("Named twice.")))
        seen.add(name)
    return found
