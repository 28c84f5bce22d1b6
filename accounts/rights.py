"""The rights of a person on rows that have an owner.

Owners may do everything to their own rows. Those of others need a permission of the admin, such as
``missions.change_mission``, which a person has directly, through a group, or as a superuser.
Pages, API and admin all ask here, so a permission means the same everywhere.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from core.errors import DomainError

Rows = TypeVar("Rows", bound="QuerySet[Any]")


class Action(StrEnum):
    VIEW = "view"
    CHANGE = "change"  # also pause, resume, cancel, retry: everything but deletion
    DELETE = "delete"


class NotAllowed(DomainError, PermissionDenied):
    """The row belongs to another person, and the permission is missing.

    The API answers 403 with the message; pages show it on the page of that status.
    """

    status = 403


def may(user: AbstractBaseUser | AnonymousUser, action: Action, row: Model) -> bool:
    """Return True if a person may do something to a row, which has an ``owner_id``."""
    owner_id = getattr(row, "owner_id")  # noqa: B009
    return (owner_id is not None and owner_id == user.pk) or may_all(user, action, type(row))


def require(user: AbstractBaseUser | AnonymousUser, action: Action, row: Model) -> None:
    """Raise NotAllowed unless a person may do something to a row."""
    if not may(user, action, row):
        message = _("It belongs to another person. Ask an administrator for the permission %s. Nothing was changed.")
        raise NotAllowed(message % permission(action, type(row)))


def visible(rows: Rows, user: AbstractBaseUser | AnonymousUser) -> Rows:
    """Return the rows that a person may see: all with the permission, else their own."""
    return rows if may_all(user, Action.VIEW, rows.model) else rows.filter(owner_id=user.pk)


def may_all(user: AbstractBaseUser | AnonymousUser, action: Action, model: type[Model]) -> bool:
    """Return True if a person may do something to the rows of everybody.

    As in the admin, who may change rows may see them.
    """
    has_perm = getattr(user, "has_perm")  # noqa: B009  AbstractBaseUser has none
    actions = [Action.VIEW, Action.CHANGE] if action == Action.VIEW else [action]
    return any(has_perm(permission(each, model)) for each in actions)


def permission(action: Action, model: type[Model]) -> str:
    """Return the name of a permission as ``has_perm`` takes it: ``missions.change_mission``."""
    return f"{model._meta.app_label}.{action}_{model._meta.model_name}"
