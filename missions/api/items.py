"""``/missions/{id}/items``: list and show items, make them again, retry and resolve them."""

from __future__ import annotations

from typing import Annotated, Any, cast

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, File, Form, Path, Query, Router, UploadedFile

from accounts import rights
from accounts.rights import Action
from batch_input.tables import RowsInvalid, read_table
from core.api.ids import RowId
from core.api.openapi import refusals
from core.api.values import MAX_INDEX
from core.errors import FieldError, Invalid
from core.money import amount_text
from missions import selectors, services
from missions.api.missions import actor, remember, remember_result, retried, state_of, visible_mission
from missions.api.schemas.items import (
    AgainIn,
    CorrectionsIn,
    ItemDetailOut,
    ItemFilterIn,
    ItemPage,
    ItemRetryIn,
    ResolveIn,
    TagsIn,
    item_page,
)
from missions.api.schemas.missions import CorrectionsOut, MadeAgainOut, RetriedOut, corrections
from missions.models import Mission, MissionItem
from missions.services import NewVersions, Retried

router = Router(tags=["Items"])

ItemIndex = Annotated[int, Field(ge=1, le=MAX_INDEX)]


@router.get("/{mission_id}/items", response=ItemPage, summary="List the items of a mission")
def list_items(request: HttpRequest, mission_id: Path[RowId], filters: Query[ItemFilterIn]) -> dict[str, Any]:
    """In batch order.

    `next_cursor` leads to the next page, and is null on the last. An item's index never changes, so
    that paging sees each item once, whatever happens meanwhile.
    """
    return item_page(visible_mission(request, mission_id), filters)


@router.post(
    "/{mission_id}/items/again",
    response=MadeAgainOut,
    summary="Make results again",
    openapi_extra={
        "responses": refusals(
            indexes="The mission has no such item, or a spending limit does not cover the price.",
            config="A parameter does not fit the model, or names a file that you do not have.",
        )
    },
)
def make_again(request: HttpRequest, mission_id: Path[RowId], payload: AgainIn) -> dict[str, Any]:
    """Generate completed items again, which costs money: a new version of each.

    Each new version is a new item with the same parameters, or with those in `config` replaced. The
    mission goes back to work; the old results stay. The newest completed version becomes the chosen
    one, unless somebody has chosen. Refused, without anything made or charged: items that are not
    completed, a cancelled mission, and a spending limit that does not cover the price.
    """
    visible_mission(request, mission_id, Action.CHANGE)
    added = services.make_again(
        mission_id=mission_id,
        indexes=payload.indexes,
        actor=actor(request),
        params=payload.config,
        allow_free_form=rights.may_all(request.user, Action.CHANGE, Mission),
        on_done=remember_result(request, mission_id, new_versions_data),
    )
    return new_versions_data(mission_id, added)


@router.post(
    "/{mission_id}/items/sheet",
    response=CorrectionsOut,
    summary="Correct failed items by a spreadsheet",
    openapi_extra={
        "responses": refusals(
            file="It cannot be read as rows, has no column Item number, or a cell does not fit the model.",
            sheet="The workbook has no such sheet.",
        )
    },
)
def correct_items(
    request: HttpRequest,
    mission_id: Path[RowId],
    payload: Form[CorrectionsIn],
    file: File[UploadedFile],
    validate_only: bool = False,
) -> dict[str, Any]:
    """Read corrected rows of `sheet.xlsx` or `sheet.csv` back onto the same failed items.

    Cells that differ from an item replace its parameters. Rows of other items, of unknown ones and
    unchanged rows are counted and left alone. `retry=true` then submits the changed items again,
    which costs money; otherwise they wait for a retry. With `validate_only=true` nothing changes,
    and problems are part of the answer; without it they refuse the whole sheet.
    """
    mission = visible_mission(request, mission_id, Action.CHANGE)
    may_all = rights.may_all(request.user, Action.CHANGE, Mission)
    try:
        table = read_table(cast(Any, file), name=file.name or "", sheet=payload.sheet)
        found = services.read_corrections(mission, table, allow_free_form=may_all)
    except RowsInvalid as invalid:
        errors = [FieldError(f"file.{error.line}" if error.line else "file", error.message) for error in invalid.errors]
        raise Invalid(errors) from invalid
    facts = corrections(mission, found)
    if validate_only:
        return {**state_of(mission_id), **facts, "retry_count": 0}
    if found.problems:
        raise Invalid(found.problems[: services.MAX_ERRORS])
    answer: dict[str, Any] = {}

    def done(result: Retried) -> None:
        count = result.count if payload.retry else 0
        answer.update({**state_of(mission_id), **facts, "retry_count": count})
        remember(request, 200, answer)

    services.apply_corrections(
        mission_id=mission_id,
        params=found.params,
        actor=actor(request),
        is_retried=payload.retry,
        allow_free_form=may_all,
        on_done=done,
    )
    return answer


@router.get("/{mission_id}/items/{index}", response=ItemDetailOut, summary="Show an item")
def show_item(request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex]) -> MissionItem:
    """With its attempts, results and events."""
    return visible_item(request, mission_id, index)


@router.post(
    "/{mission_id}/items/{index}/retry",
    response=RetriedOut,
    summary="Retry a failed item",
    openapi_extra={
        "responses": refusals(config="A parameter does not fit the model, or names a file that you do not have.")
    },
)
def retry_item(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], payload: ItemRetryIn | None = None
) -> dict[str, Any]:
    """Submit it again, which costs money.

    `config` replaces some of its parameters; they are checked before anything changes. An item that
    did not fail is refused.
    """
    item = visible_item(request, mission_id, index, Action.CHANGE)
    result = services.retry_item(
        item=item,
        actor=actor(request),
        params=None if payload is None else payload.config,
        allow_free_form=rights.may_all(request.user, Action.CHANGE, Mission),
        on_done=remember_result(request, mission_id, retried),
    )
    return retried(mission_id, result)


@router.post("/{mission_id}/items/{index}/resolve", response=ItemDetailOut, summary="Resolve an unconfirmed item")
def resolve_item(
    request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], payload: ResolveIn
) -> MissionItem:
    """Look at the provider's own site first.

    `remote_task_id`: the task exists there; it is attached, and not paid again. `not_run`: it never
    ran there; the item is submitted again.
    """
    item = visible_item(request, mission_id, index, Action.CHANGE)
    if payload.remote_task_id is not None:
        services.resolve_with_task(item=item, remote_task_id=payload.remote_task_id, actor=actor(request))
    else:
        services.resolve_as_not_run(item=item, actor=actor(request))
    return visible_item(request, mission_id, index)


@router.put(
    "/{mission_id}/items/{index}/tags",
    response=ItemDetailOut,
    summary="Set the tags of an item",
    openapi_extra={"responses": refusals(tags="A tag is empty, too long or has a comma, or there are too many.")},
)
def set_tags(request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex], payload: TagsIn) -> MissionItem:
    """Replace all its tags; an empty list removes them.

    Case does not matter: a tag is written as in your other results. `GET /results?tag=…` finds it.
    """
    item = visible_item(request, mission_id, index, Action.CHANGE)
    services.tag_items(item_ids=[item.pk], add=payload.tags, remove=selectors.known_tags(item.mission.owner_id))
    return visible_item(request, mission_id, index)


@router.post("/{mission_id}/items/{index}/choose", response=ItemDetailOut, summary="Choose a version")
def choose_version(request: HttpRequest, mission_id: Path[RowId], index: Path[ItemIndex]) -> MissionItem:
    """Let galleries and downloads contain this version of a result that was made again.

    It costs nothing and stays so when newer versions are completed.
    """
    services.choose_version(item=visible_item(request, mission_id, index, Action.CHANGE))
    return visible_item(request, mission_id, index)


def new_versions_data(mission_id: int, added: NewVersions) -> dict[str, Any]:
    """Return the response to a request to make results again, in plain JSON values."""
    estimate = {"amount": amount_text(added.estimate), "currency": added.currency}
    return {**state_of(mission_id), "indexes": added.indexes, "estimate": estimate}


def visible_item(request: HttpRequest, mission_id: int, index: int, action: Action = Action.VIEW) -> MissionItem:
    """Return an item that the caller may see. Raises Http404, or NotAllowed for the ``action``."""
    return get_object_or_404(visible_mission(request, mission_id, action).items.all(), index=index)
