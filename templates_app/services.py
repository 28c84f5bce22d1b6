"""Create, change and delete templates. The catalogue decides which parameters a template may hold.

A template is half a mission: any parameter may be missing, but those that are there must be valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts.audit import services as audit
from accounts.audit.models import Verb
from core.errors import FieldError, Invalid
from core.file_names import pattern_problem
from core.text import is_blank, trim
from providers import catalog, references
from providers.catalog.task_types import TaskType
from templates_app.models import MissionTemplate

MAX_NAME = 200
MAX_DESCRIPTION = 10_000


class TemplateInvalid(Invalid):
    """The template cannot be saved.

    Nothing was stored; ``errors`` names every field, such as ``config.params.size``.
    """


def create_template(
    *, owner: AbstractBaseUser, name: str, task_type: str, config: Mapping[str, Any], description: str = ""
) -> MissionTemplate:
    """Save a config under a name that its owner has not used yet.

    Raises TemplateInvalid with all errors.
    ``config`` holds ``model``, ``params``, ``batch_fields`` and ``file_name_pattern``, each of them
    optional.
    """
    template = MissionTemplate(owner_id=owner.pk)
    _save(template, owner, name=name, task_type=task_type, config=config, description=description)
    return template


def update_template(
    *, template: MissionTemplate, name: str, task_type: str, config: Mapping[str, Any], description: str = ""
) -> MissionTemplate:
    """Replace everything in a template.

    Raises TemplateInvalid, or DoesNotExist when it was deleted meanwhile.
    """
    with transaction.atomic():
        template = MissionTemplate.objects.select_for_update(no_key=True, of=("self",)).get(pk=template.pk)
        _save(template, template.owner, name=name, task_type=task_type, config=config, description=description)
    return template


def delete_template(*, template: MissionTemplate) -> None:
    """Delete a template. Missions made from it stay as they are.

    Its row is locked first, so that no mission is made from it meanwhile. Raises DoesNotExist when
    it is already deleted.
    """
    with transaction.atomic():
        template = MissionTemplate.objects.select_for_update().get(pk=template.pk)
        audit.record(Verb.TEMPLATE_DELETE, template, owner=template.owner_id)
        template.delete()


def clean_config(*, owner: AbstractBaseUser, task_type: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``{model, params, batch_fields}`` as it is stored, and perhaps ``file_name_pattern``.

    A blank ``model`` stays blank: the template follows the default of its task type. Without
    ``batch_fields``, rows fill the model's own batch field. Raises TemplateInvalid with all errors.
    """
    name = config.get("model") or ""
    if task_type not in TaskType.values:
        raise TemplateInvalid([FieldError("task_type", _("Choose one of %s.") % ", ".join(TaskType.values))])
    try:
        model = catalog.get_model(name, owner_id=owner.pk) if name else catalog.default_model(task_type)
    except catalog.UnknownModel as error:
        raise TemplateInvalid([FieldError("config.model", str(error))]) from None
    if model.task_type != task_type:
        facts = {"model": name, "makes": model.task_type, "wanted": task_type}
        raise TemplateInvalid([FieldError("config.model", _("%(model)s makes %(makes)s, not %(wanted)s.") % facts)])
    params: dict[str, Any] = {}
    try:
        params = model.clean_partial(config.get("params") or {})
        param_errors = references.params_file_errors(owner.pk, model, params)
    except catalog.ParamsInvalid as invalid:
        param_errors = invalid.errors
    errors = [
        FieldError(f"config.params.{error.field}" if error.field else "config.params", error.message)
        for error in param_errors
    ]
    batch_fields = list(config.get("batch_fields") or [model.batch_field])
    for number, batch_field in enumerate(batch_fields):
        if model.parameter(batch_field) is None:
            allowed = ", ".join(parameter.name for parameter in model.parameters)
            message = _("The model has no such parameter. Allowed: %s.") % allowed
            errors.append(FieldError(f"config.batch_fields.{number}", message))
        elif batch_field in batch_fields[:number]:
            errors.append(FieldError(f"config.batch_fields.{number}", _("This field is listed twice.")))
    pattern = trim(config.get("file_name_pattern") or "")
    if pattern and (problem := pattern_problem(pattern)):
        errors.append(FieldError("config.file_name_pattern", problem))
    if errors:
        raise TemplateInvalid(errors)
    naming = {"file_name_pattern": pattern} if pattern else {}
    return {"model": name, "params": params, "batch_fields": batch_fields} | naming


def template_errors(template: MissionTemplate) -> list[FieldError]:
    """Return the reasons why a stored template can no longer be used; empty if it can.

    Its model has left the catalogue or takes other parameters, or one of its images was deleted.
    """
    config = template.config
    # The admin and older versions may have stored anything.
    is_readable = (
        isinstance(config, dict)
        and isinstance(config.get("model") or "", str)
        and isinstance(config.get("params") or {}, dict)
        and isinstance(names := config.get("batch_fields") or [], list)
        and all(isinstance(name, str) for name in names)
        and isinstance(config.get("file_name_pattern") or "", str)
    )
    if not is_readable:
        return [FieldError("config", _("The settings cannot be read. Save the template again."))]
    try:
        clean_config(owner=template.owner, task_type=template.task_type, config=config)
    except TemplateInvalid as invalid:
        return list(invalid.errors)
    return []


def _save(
    template: MissionTemplate,
    owner: AbstractBaseUser,
    *,
    name: str,
    task_type: str,
    config: Mapping[str, Any],
    description: str,
) -> None:
    errors: list[FieldError] = []
    for field, text, limit in (("name", name, MAX_NAME), ("description", description, MAX_DESCRIPTION)):
        if len(text) > limit:
            errors.append(FieldError(field, _("At most %s characters.") % f"{limit:,}"))
        elif "\0" in text:
            errors.append(FieldError(field, _("Contains a character that cannot be stored. Type the text again.")))
    if is_blank(name):
        errors.append(FieldError("name", _("Give the template a name.")))
    try:
        template.config = clean_config(owner=owner, task_type=task_type, config=config)
    except TemplateInvalid as invalid:
        errors += invalid.errors
    if errors:
        raise TemplateInvalid(errors)
    template.name = trim(name)
    template.task_type = task_type
    template.description = description
    verb = Verb.TEMPLATE_CREATE if template.pk is None else Verb.TEMPLATE_CHANGE
    same_name = MissionTemplate.objects.filter(owner_id=template.owner_id, name=template.name).exclude(pk=template.pk)
    for is_last in (False, True):
        try:
            with transaction.atomic():
                template.save()
                audit.record(verb, template, actor=f"user:{owner.pk}", owner=owner.pk)
            return
        except IntegrityError:  # the database decides, so that two requests at once cannot both have the name
            if same_name.exists():
                message = _("You already have a template named %s. Choose another name, or change that template.")
                raise TemplateInvalid([FieldError("name", message % template.name)]) from None
            if is_last:
                raise
        # The other template was deleted or renamed between the two statements: the name is free.
