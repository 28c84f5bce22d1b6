"""Keeping templates: create, change, delete.

What a template's parameters may be is not known here but by the catalogue of missions: ``templates_app.rules`` checks a
config before it gets here.  This module keeps the rows in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from core.errors import FieldError, Invalid
from templates_app.models import MissionTemplate

MAX_NAME = 200
MAX_DESCRIPTION = 10_000


class TemplateInvalid(Invalid):
    """The template cannot be saved, and nothing was stored.

    The field of each error is a path such as ``config.params.aspectRatio``.
    """


def create_template(
    *, owner: AbstractBaseUser, name: str, task_type: str, config: Mapping[str, Any], description: str = ""
) -> MissionTemplate:
    """Keep a checked config under a name that its owner has not used yet.  Raises TemplateInvalid."""
    template = MissionTemplate(owner_id=owner.pk)
    _fill(template, name=name, task_type=task_type, config=config, description=description)
    _save(template)
    return template


def update_template(
    *, template: MissionTemplate, name: str, task_type: str, config: Mapping[str, Any], description: str = ""
) -> MissionTemplate:
    """Replace all that a template says.  Raises TemplateInvalid, and DoesNotExist when it was deleted in the meantime."""
    with transaction.atomic():
        template = MissionTemplate.objects.select_for_update(no_key=True).get(pk=template.pk)
        _fill(template, name=name, task_type=task_type, config=config, description=description)
        _save(template)
    return template


def delete_template(*, template: MissionTemplate) -> None:
    """Remove a template.  Missions made from it stay as they are."""
    template.delete()


def _fill(template: MissionTemplate, *, name: str, task_type: str, config: Mapping[str, Any], description: str) -> None:
    errors = [*_text_problems("name", name, MAX_NAME), *_text_problems("description", description, MAX_DESCRIPTION)]
    if not name.strip():
        errors.append(FieldError("name", _("Give the template a name.")))
    if errors:
        raise TemplateInvalid(errors)
    template.name = name.strip()
    template.task_type = task_type
    template.config = dict(config)
    template.description = description


def _text_problems(field: str, text: str, longest: int) -> list[FieldError]:
    if len(text) > longest:
        return [FieldError(field, _("At most %s characters.") % f"{longest:,}")]
    if "\0" in text:
        return [FieldError(field, _("Holds a character that cannot be kept: write it again."))]
    return []


def _save(template: MissionTemplate) -> None:
    """The database decides whether the name is free, so that two requests at once cannot both have it."""
    try:
        with transaction.atomic():
            template.save()
    except IntegrityError:
        twins = MissionTemplate.objects.filter(owner_id=template.owner_id, name=template.name).exclude(pk=template.pk)
        if not twins.exists():
            raise
        message = _("There is already a template named %s: choose another name, or change that one.") % template.name
        raise TemplateInvalid([FieldError("name", message)]) from None
