"""An action of operators on rows: its texts, its preview and the service that does it.

``core.admin.confirmation`` shows the preview and does what was confirmed; ``core.admin.bulk`` does
so for more rows than a page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Model
from django.http import HttpRequest, QueryDict
from django.utils.functional import Promise

from core.admin.readonly import ReadOnlyAdmin
from core.reasons import Definition


@dataclass(frozen=True, slots=True)
class ActionPreview:
    """The effect of an action on one row.

    ``sentences`` describe it, ``count`` is the number of items concerned, ``money`` the estimated
    amount, None when the price is unknown.  ``is_refused``: the action does not fit the row's
    status.
    """

    sentences: Sequence[str]
    count: int
    money: Decimal | None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class AdminAction:
    """An action of operators.

    ``title`` is its name in a list, ``question`` the heading of the confirmation, ``money`` the
    label of its sum, ``record`` the log entry, a reason that is translated when shown.  ``preview``
    and ``do`` get the row and the form data; ``do`` also gets the actor ("user:7") and raises a
    DomainError when it refuses.  ``currency_of`` returns a row's currency.  ``status_kind`` is the
    kind of the rows' statuses (``core.ui.statuses``). ``permission``: "act" or "remove", as
    ``ReadOnlyAdmin`` has them.
    """

    name: str
    title: Promise
    question: Promise
    money: Promise
    record: Definition
    preview: Callable[[Any, QueryDict], ActionPreview]
    do: Callable[[Any, str, QueryDict], object]
    currency_of: Callable[[Any], str]
    is_dangerous: bool = False
    status_kind: str = "item"
    permission: str = "act"


def log(model_admin: ReadOnlyAdmin, request: HttpRequest, row: Model, record: Definition) -> None:
    """Add an entry to the history of a row."""
    model_admin.log_change(request, row, record.code)
