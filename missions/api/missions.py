"""``/missions``: create, list, show, change, stop, resume, retry and delete missions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import File, Form, Path, Query, Router, Status, UploadedFile
from pydantic import ValidationError

from accounts import rights
from accounts.authentication import CREATING
from accounts.rights import Action
from batch_input.columns import has_header as has_header_row
from batch_input.headings import CUSTOM_ID
from batch_input.hints import hints_of_rows
from batch_input.report import COLUMNS_UNUSED, InputReport
from batch_input.rows import BatchRows, Source, build_rows, import_table, read_batch, table_columns
from batch_input.tables import RowsInvalid, read_table
from batch_input.variables import PromptRules
from core.api.ids import RowId
from core.api.openapi import header_refs, refusals
from core.api.pagination import PAGE_RULES, page_of
from core.api.query_names import allow_prefixes
from core.api.validation import message_of, path_of
from core.errors import FieldError, Invalid
from core.money import amount_text
from missions import selectors, services
from missions.api.schemas.missions import (
    CancelledOut,
    DeletedOut,
    FileMissionIn,
    GroupIn,
    GroupModelIn,
    GroupSubmittedOut,
    GroupValidationOut,
    MissionChangeIn,
    MissionDetailOut,
    MissionFileIn,
    MissionFilterIn,
    MissionIn,
    MissionOut,
    MissionPage,
    ReleasedOut,
    ReleaseIn,
    RestChangedOut,
    RestChangeIn,
    ResumeIn,
    RetriedOut,
    RetryIn,
    RowsIn,
    StateOut,
    StoppedOut,
    SubmittedOut,
    ValidationOut,
    input_of,
    pending_files,
    warnings_of,
)
from missions.links import mission_path, mission_urls
from missions.models import Mission
from missions.services import MissionInvalid, Retried, Stopped, place_in_body
from providers.catalog import Model

router = Router(tags=["Missions"])

# The rules of a submission that its schema cannot express.
RULES = {
    "prefix": "The model has no prompt.",
    "suffix": "The model has no prompt.",
    "variables": "The model has no prompt.",
    "variations": "The model has no such parameter, or a value does not fit it.",
    "name": "It is blank.",
    "config": "A parameter or a row does not fit the model, names a file that you do not have, or is one of too many; "
    "or the mission would cost more than you may still spend.",
    "model": "There is no such model, it makes another task type, several providers have it, or its price is unknown "
    "and you have a spending limit.",
    "template_id": "You have no such template, or it is for another task type.",
    "metadata": "It is larger than 16 KiB.",
    "spending_limit": "The price of the model is unknown, so that no limit can be kept.",
    "not_before": "The year is not one from 1970 to 2200.",
    "file_name_pattern": "It has no placeholder, or one that is not known here.",
}
GROUP_RULES = {name: rule for name, rule in RULES.items() if name != "model"}
SUBMITTED: dict[int, Any] = {202: {"headers": header_refs("Location")}}
NAMES_SHOWN = 10  # in the answer to a check
METADATA = "metadata."  # begins the name of a filter
METADATA_NAME = re.compile(r"(?!-?[0-9]+$)[^\0]{1,200}")


@router.post(
    "/submit",
    auth=CREATING,
    response={202: SubmittedOut, 200: ValidationOut},
    summary="Submit a mission",
    openapi_extra={"responses": SUBMITTED | refusals(**RULES)},
)
@router.post(
    "",
    auth=CREATING,
    response={202: SubmittedOut, 200: ValidationOut},
    summary="Submit a mission",
    operation_id="create_mission",
    openapi_extra={"responses": SUBMITTED | refusals(**RULES)},
)
def submit_mission(
    request: HttpRequest, response: HttpResponse, payload: MissionIn, validate_only: bool = False
) -> Status[Any]:
    """Check every row, then create the mission.

    With any error, nothing is stored and nothing is charged.

    `validate_only=true` returns 200 with the number of items, the price and all errors, and creates
    nothing. Unknown names in the body or in the query are errors, so that a typo never costs money.
    """
    params = dict(payload.config)
    rows = params.pop("batch_input", None)
    checked = check(request, payload, payload, params, rows)
    if validate_only:
        return Status(200, checked.validation(payload, rows))
    return create(request, response, payload, checked)


@router.post(
    "/group",
    auth=CREATING,
    response={202: GroupSubmittedOut, 200: GroupValidationOut},
    summary="Submit missions of the same rows, one per model",
    operation_id="create_group",
    openapi_extra={"responses": refusals(**GROUP_RULES, models="There is no such model, or it is listed twice.")},
)
def submit_group(request: HttpRequest, payload: GroupIn, validate_only: bool = False) -> Status[Any]:
    """Check every row with every model, then create all missions or none.

    The limits of the request hold for each mission, your own for all together. Names of missions
    end with their model. A parameter in `config` must fit every model; give others in
    `models[].config`. An error that concerns some of the models names them in `errors[].field`, or
    at the beginning of its message.
    """
    config = dict(payload.config)
    rows = config.pop("batch_input", None)
    group = [check(request, payload, each, config | each.config, rows) for each in payload.models]
    errors = _errors_of_group(payload, group)
    drafts = [checked.draft for checked in group if checked.draft]
    if validate_only:
        parts = [checked.validation(payload, rows) for checked in group]
        count = sum(part["total_count"] for part in parts)
        price = None if errors else estimate(*services.group_price(drafts))
        facts = {"valid": not errors, "total_count": count, "estimate": price, "errors": problems_of(errors)}
        return Status(200, facts | {"missions": parts})
    if errors:
        raise Invalid(errors)

    def answer(missions: list[Mission]) -> dict[str, Any]:
        parts = [submitted(mission) | checked.facts for mission, checked in zip(missions, group, strict=True)]
        count = sum(mission.total_count for mission in missions)
        price = estimate(*services.group_price(drafts))
        return {"group": missions[0].group, "total_count": count, "estimate": price, "missions": parts}

    missions = services.create_group(
        drafts, on_created=lambda missions: remember(request, 202, answer(missions)), **payload.settings
    )
    return Status(202, answer(missions))


@router.post(
    "/file",
    auth=CREATING,
    response={202: SubmittedOut, 200: ValidationOut},
    summary="Submit a mission from a file",
    openapi_extra={
        "responses": SUBMITTED
        | refusals(
            file="It cannot be read as rows, a row does not fit the model, or there are several files.",
            mission="It is no JSON object that fits the body of `POST /missions`, or one of the rules there is broken.",
            columns="The file has no such column, or the model no such parameter.",
            sheet="The workbook has no such sheet.",
        )
    },
)
def submit_file(
    request: HttpRequest,
    response: HttpResponse,
    payload: Form[MissionFileIn],
    file: File[UploadedFile],
    validate_only: bool = False,
) -> Status[Any]:
    """Read the rows of a text, CSV, XLSX or JSON Lines file, then do what `POST /missions` does.

    `input` says what was read and what was not: sheet, columns, encoding. Columns are matched by
    their names; a guess is among the `warnings`. To be sure, check with `validate_only=true` first,
    or name the `columns`. An image is named by its URL, by `media:ID` or by the name of an uploaded
    file. `errors[].field` is `file.LINE.PARAMETER`.
    """
    unknown = sorted({*request.POST, *request.FILES} - {*MissionFileIn.model_fields, "file"})
    problems = [FieldError(name, _("Unknown name. Remove it, or correct its spelling.")) for name in unknown]
    if len(request.FILES.getlist("file")) > 1:
        problems.append(FieldError("file", _("Send one file for each mission.")))
    if problems:
        raise Invalid(problems)
    try:
        mission = FileMissionIn.model_validate_json(payload.mission, context={"request": request})
    except ValidationError as error:
        details = [(path_of(("mission", *detail["loc"])), message_of(detail)) for detail in error.errors()]
        raise Invalid([FieldError(*detail) for detail in details]) from error
    params = dict(mission.config)
    rows = FileRows()
    errors: list[FieldError] = []
    try:
        if "batch_input" in params:
            message = _("The rows come from the file. Remove this, or use POST /missions.")
            raise MissionInvalid([FieldError("config.batch_input", message)])
        rows = _read_file(caller(request), mission, payload, file)
    except MissionInvalid as invalid:
        errors = _in_form(invalid.errors)
    checked = check(request, mission, mission, params, rows.built.rows, origin=rows, errors=errors)
    if validate_only:
        return Status(200, checked.validation(mission, rows.built.rows))
    return create(request, response, mission, checked)


@router.get(
    "",
    response=MissionPage,
    summary="List missions",
    openapi_extra={
        "responses": refusals(
            **PAGE_RULES,
            created_from="The year is not one from 1970 to 2200.",
            created_to="The year is not one from 1970 to 2200.",
        )
    },
)
@allow_prefixes(METADATA)
def list_missions(request: HttpRequest, filters: Query[MissionFilterIn]) -> dict[str, Any]:
    """Newest first.

    `metadata.KEY=value` finds missions by your own data; several must all match. With `cursor`
    (`next_cursor` of the page before) you see each mission once while others are created or
    deleted, in an order by `created_at`.
    """
    criteria = filters.dict(exclude={"page", "page_size", "cursor", "status"})
    metadata = {
        name.removeprefix(METADATA): str(request.GET[name]) for name in request.GET if name.startswith(METADATA)
    }
    for name in metadata:
        if not METADATA_NAME.fullmatch(name):
            message = _("Give a name of your metadata, such as metadata.order. A number is no name.")
            raise Invalid([FieldError(f"{METADATA}{name}", message)])
    missions = selectors.find_missions(
        Mission.objects.visible_to(caller(request)), statuses=filters.status, metadata=metadata, **criteria
    )
    page = page_of(missions.defer(None).defer("params"), filters, stable=["created_at"])
    pending_files(*page["items"])
    return page


@router.get("/{mission_id}", response=MissionDetailOut, summary="Show a mission", url_name="mission")
def show_mission(request: HttpRequest, mission_id: Path[RowId]) -> Mission:
    """With the first page of its items."""
    return visible_mission(request, mission_id)


@router.patch(
    "/{mission_id}",
    response=MissionOut,
    summary="Change a mission: name, description, folder, priority, limit, start, metadata, file names",
    openapi_extra={
        "responses": refusals(
            **{name: RULES[name] for name in ("name", "metadata", "spending_limit", "file_name_pattern")},
            not_before="It is in the past, or the mission does not wait for a planned start.",
        )
    },
)
def change_mission(request: HttpRequest, mission_id: Path[RowId], payload: MissionChangeIn) -> Mission:
    visible_mission(request, mission_id, Action.CHANGE)
    return services.change_mission(mission_id=mission_id, actor=actor(request), **payload.dict(exclude_unset=True))


@router.delete("/{mission_id}", response={200: DeletedOut, 202: DeletedOut}, summary="Delete a mission")
def delete_mission(request: HttpRequest, mission_id: Path[RowId]) -> Status[Any]:
    """Stop it for good and delete it. 200: deleted, with its files. 202: some items are in flight
    and paid; the mission is hidden now and deleted when they have ended.
    """
    visible_mission(request, mission_id, Action.DELETE)
    stopped = services.delete_mission(mission_id=mission_id, actor=actor(request))
    result = {
        "api_mission_id": mission_id,
        "is_removed": stopped.is_removed,
        "still_sending_count": len(stopped.still_sending),
    }
    return Status(200 if stopped.is_removed else 202, result)


@router.post("/{mission_id}/cancel", response=CancelledOut, summary="Cancel a mission")
def cancel_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    """Nothing more is sent once this returns.

    Tasks that the provider accepted before are paid; their results are kept.
    """
    visible_mission(request, mission_id, Action.CHANGE)
    stopped = services.cancel_mission(mission_id=mission_id, actor=actor(request))
    return {**_stopped(mission_id, stopped), "cancelled_count": stopped.cancelled_count}


@router.post("/{mission_id}/pause", response=StoppedOut, summary="Pause a mission")
def pause_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    """Nothing more is sent once this returns, until the mission is resumed."""
    visible_mission(request, mission_id, Action.CHANGE)
    return _stopped(mission_id, services.pause_mission(mission_id=mission_id, actor=actor(request)))


@router.post("/{mission_id}/resume", response=StateOut, summary="Resume a mission")
def resume_mission(request: HttpRequest, mission_id: Path[RowId], payload: ResumeIn | None = None) -> dict[str, Any]:
    """Continue a paused mission; `spending_limit` raises its limit in the same step.

    409 `limit_reached`: the limit does not cover the next item, so the mission would only be paused
    again. Nothing has changed; `message` says which limit it needs.
    """
    visible_mission(request, mission_id, Action.CHANGE)
    limit = None if payload is None else payload.spending_limit
    services.resume_mission(mission_id=mission_id, actor=actor(request), spending_limit=limit)
    return state_of(mission_id)


@router.post(
    "/{mission_id}/release",
    response=ReleasedOut,
    summary="Release the rest of a mission",
    openapi_extra={"responses": refusals(spending_limit=RULES["spending_limit"])},
)
def release_mission(request: HttpRequest, mission_id: Path[RowId], payload: ReleaseIn | None = None) -> dict[str, Any]:
    """Send the items that wait behind those of `run_first`, which costs money.

    Only this sends them; a resume does not. 409: nothing waits, the estimate is above `at_most`, or
    (`limit_reached`) a limit does not cover the next item. Then nothing has changed.
    """
    visible_mission(request, mission_id, Action.CHANGE)
    result = services.release_mission(
        mission_id=mission_id,
        actor=actor(request),
        on_done=remember_result(request, mission_id, released),
        **({} if payload is None else payload.dict(exclude_unset=True)),
    )
    return released(mission_id, result)


@router.patch(
    "/{mission_id}/rest",
    response=RestChangedOut,
    summary="Change the rest of a mission",
    openapi_extra={
        "responses": refusals(
            config="A parameter or a changed prompt does not fit the model, or names a file that you do not have.",
            prefix="The model has no prompt.",
        )
    },
)
def change_rest(
    request: HttpRequest, mission_id: Path[RowId], payload: RestChangeIn, validate_only: bool = False
) -> dict[str, Any]:
    """Change the items that wait for a release. Nothing is sent.

    `validate_only=true` returns the effect and changes nothing. 409: nothing waits.
    """
    mission = visible_mission(request, mission_id, Action.CHANGE)
    values = payload.dict()
    result = services.change_rest(
        mission_id=mission_id,
        change=services.RestChange(params=values.pop("config"), **values),
        actor=actor(request),
        allow_free_form=rights.may_all(request.user, Action.CHANGE, Mission),
        is_preview=validate_only,
    )
    examples = [{"index": index, "before": before, "after": after} for index, before, after in result.examples]
    price = estimate(result.price, mission.currency)
    return {**state_of(mission_id), "changed_count": result.count, "estimate": price, "examples": examples}


@router.post("/{mission_id}/start", response=StateOut, summary="Start a scheduled mission now")
def start_mission(request: HttpRequest, mission_id: Path[RowId]) -> dict[str, Any]:
    visible_mission(request, mission_id, Action.CHANGE)
    services.start_mission(mission_id=mission_id, actor=actor(request))
    return state_of(mission_id)


@router.post("/{mission_id}/retry", response=RetriedOut, summary="Retry failed items")
def retry_mission(request: HttpRequest, mission_id: Path[RowId], payload: RetryIn | None = None) -> dict[str, Any]:
    """Submit failed items again, which costs money: all of them, those with an error code, or those
    at some indexes. Items that did not fail are never touched. The estimate is the price of one
    attempt for each.
    """
    visible_mission(request, mission_id, Action.CHANGE)
    selection = {} if payload is None else payload.dict(exclude_unset=True)
    result = services.retry_failed(
        mission_id=mission_id, actor=actor(request), on_done=remember_result(request, mission_id, retried), **selection
    )
    return retried(mission_id, result)


# --- Submitting ---


@dataclass(frozen=True, slots=True)
class Checked:
    """A mission of a request: its draft, or what is wrong with it in the words of the request."""

    draft: services.Draft | None
    errors: list[FieldError]
    warnings: list[dict[str, str]]
    report: InputReport | None = None

    def validation(self, payload: RowsIn, rows: Any) -> dict[str, Any]:
        """Return the response to a request that only asks for the check, in plain JSON values."""
        valid = None if self.errors else self.draft
        length = len(rows) * payload.repeat if isinstance(rows, list) else 0
        first = None
        if valid and payload.run_first is not None and payload.run_first < len(valid.rows):
            first = estimate(valid.prices_of_parts(payload.run_first)[0], valid.model.currency)
        return {
            "valid": valid is not None,
            "total_count": len(self.draft.rows) if self.draft else length,
            "estimate": estimate(valid.estimated_cost, valid.model.currency) if valid else None,
            "first_estimate": first,
            "errors": problems_of(self.errors),
            "file_name_pattern": valid.file_name_pattern if valid else None,
            "file_names": valid.file_stems(NAMES_SHOWN) if valid else [],
            **self.facts,
        }

    @property
    def facts(self) -> dict[str, Any]:
        """Return the part that the responses to a check and to a submission share."""
        return {"warnings": self.warnings, "input": input_of(self.report) if self.report else None}


def check(
    request: HttpRequest,
    payload: RowsIn,
    chosen: MissionIn | GroupModelIn,
    params: dict[str, Any],
    rows: Any,
    *,
    origin: FileRows | None = None,
    errors: Sequence[FieldError] = (),
) -> Checked:
    """Check the rows with the chosen model.

    ``origin`` is the file that the rows come from, ``errors`` are those of reading it.
    """
    user = caller(request)
    if payload.allow_free_form and not rights.may_all(user, Action.CHANGE, Mission):
        raise PermissionDenied
    names = "name", "description", "repeat", "template_id", "metadata", "spending_limit", "file_name_pattern"
    arguments: dict[str, Any] = {
        "owner": user,
        "task_type": payload.task_type.value,
        "rows": rows,
        "params": params,
        "model": chosen.model,
        "provider": chosen.provider,
        "allow_free_form": payload.allow_free_form,
        **{name: getattr(payload, name) for name in names},
        "prompt_rules": PromptRules(payload.prefix, payload.suffix, payload.variables),
        "variations": payload.variations,
        "columns": origin.columns if origin and payload.variables else None,
    }
    if origin is not None:
        arguments |= {
            "headings": origin.built.headings,
            "origins": [place.facts for place in origin.built.origins],
        }
    invalid_fields = {error.field.split(".")[0] for error in payload.problems}
    found = [*payload.problems, *errors] if origin is None else [*_in_form(payload.problems), *errors]
    draft = None
    try:
        if not invalid_fields & {"task_type", "config", "models"} and not errors:  # they decide how rows are read
            draft = services.validate_mission(**arguments)
    except MissionInvalid as invalid:
        new = invalid.request_errors if origin is None else [_in_file(error, origin) for error in invalid.errors]
        known = {error.field for error in found}
        found += [error for error in new if error.field not in known]
    report = origin.report if origin else None
    warnings = [
        *(report.warnings if report else ()),
        *((*hints_of_rows(_prompts_sent(draft, rows), draft.model), *draft.warnings) if draft else ()),
    ]
    if report is not None:
        report = replace(report, warnings=tuple(warnings))
    return Checked(draft, found[: services.MAX_ERRORS], warnings_of(warnings), report)


def create(request: HttpRequest, response: HttpResponse, payload: MissionIn, checked: Checked) -> Status[Any]:
    """Create a mission that was checked. Raises Invalid."""
    if checked.draft is None or checked.errors:
        raise Invalid(checked.errors)
    mission = services.create_mission(
        checked.draft,
        **payload.settings,
        input_report=checked.report.to_json() if checked.report else None,
        on_created=lambda mission: remember(
            request, 202, submitted(mission) | checked.facts, {"Location": mission_path(mission.pk)}
        ),
    )
    response["Location"] = mission_path(mission.pk)
    return Status(202, submitted(mission) | checked.facts)


def _errors_of_group(payload: GroupIn, group: Sequence[Checked]) -> list[FieldError]:
    """Return the errors of the missions of a group.

    One that all models share is named once. Any other names its model, by its path or by the
    beginning of its message.
    """
    common = [error for error in group[0].errors if all(error in checked.errors for checked in group)]
    errors: dict[FieldError, None] = {}
    keys: list[str] = []
    for number, (each, checked) in enumerate(zip(payload.models, group, strict=True)):
        if checked.draft and checked.draft.model.key in keys:
            errors[FieldError(f"models.{number}.model", _("This model is listed twice."))] = None
        keys += [checked.draft.model.key] if checked.draft else []
        for error in checked.errors:
            head, _dot, name = error.field.partition(".")
            if error in payload.problems:
                pass
            elif head == "model" or (head == "config" and name in each.config):
                error = FieldError(f"models.{number}.{error.field}", error.message)
            elif error not in common:
                error = FieldError(error.field, f"{each.model}: {error.message}")
            errors[error] = None
    if not errors:
        too_much = services.group_limit_errors([checked.draft for checked in group if checked.draft])
        errors = dict.fromkeys(FieldError(place_in_body(error.field), error.message) for error in too_much)
    return list(errors)[: services.MAX_ERRORS]


def _prompts_sent(draft: services.Draft, rows: Any) -> Any:
    """Return rows with the prompts that are sent, which prefix, suffix or variables may change."""
    return [draft.params | row for row in draft.rows] if draft.has_rules else rows


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of an uploaded file, and what was read."""

    built: BatchRows = field(default_factory=BatchRows)
    report: InputReport | None = None
    columns: Sequence[Mapping[str, Any]] = ()


def _read_file(user: User, mission: MissionIn, payload: MissionFileIn, file: UploadedFile) -> FileRows:
    """Return the rows of an uploaded file. Raises MissionInvalid."""
    model = services.choose_model(
        owner=user,
        task_type=mission.task_type.value,
        model=mission.model,
        provider=mission.provider,
        template_id=mission.template_id,
        allow_free_form=mission.allow_free_form and rights.may_all(user, Action.CHANGE, Mission),
    )
    try:
        table = read_table(
            cast(Any, file),
            name=file.name or "",
            sheet=payload.sheet,
            include_hidden=payload.include_hidden,
            owner=user,
        )
    except RowsInvalid as invalid:
        raise MissionInvalid([_line_error(error.line, "", error.message) for error in invalid.errors]) from invalid
    has_header = has_header_row(table, model) if payload.has_header is None else payload.has_header
    chosen = _chosen_columns(payload.columns or {}, table.names(has_header=has_header), model)
    imported = import_table(table, model, has_header=has_header, chosen=chosen)
    built = build_rows(read_batch(model, Source.FILE, imported=imported), owner=user)
    if built.problems:
        raise MissionInvalid(
            [_line_error(problem.origin.line, problem.field, problem.message) for problem in built.problems]
        )
    report = imported.report
    columns = table_columns(imported) if mission.variables else ()
    unused = [COLUMNS_UNUSED(columns=", ".join(report.unused_columns))] if report.unused_columns else []
    return FileRows(built, replace(report, warnings=(*report.warnings, *built.warnings, *unused)), columns)


def _chosen_columns(columns: dict[str, Any], names: Sequence[str], model: Model) -> dict[int, str]:
    """Return the parameter of each named column by its place. Raises MissionInvalid."""
    errors: list[FieldError] = []
    chosen: dict[int, str] = {}
    fields = [*(known.name for known in model.parameters), CUSTOM_ID]
    for name, parameter in columns.items():
        if name not in names:
            message = _("The file has no column of this name. It has: %(names)s.") % {"names": ", ".join(names)}
            errors.append(FieldError(f"columns.{name}", message))
        elif not isinstance(parameter, str):
            errors.append(FieldError(f"columns.{name}", _("Must be a text.")))
        elif parameter and parameter not in fields and not model.is_free_form:
            message = _("Not a parameter of this model. Allowed: %(names)s.") % {"names": ", ".join(fields)}
            errors.append(FieldError(f"columns.{name}", message))
        else:
            chosen[names.index(name)] = parameter
    if errors:
        raise MissionInvalid(errors)
    return chosen


def _in_form(errors: Sequence[FieldError]) -> list[FieldError]:
    """Return errors of a mission with their paths in the form that comes with a file."""
    return [FieldError(_place_in_form(error.field), error.message) for error in errors]


def _place_in_form(name: str) -> str:
    return name if name.split(".")[0] in ("file", "columns") else f"mission.{name}"


def _in_file(error: FieldError, rows: FileRows) -> FieldError:
    """Return an error such as ``batch_input.3.prompt`` with the line of its row in the file."""
    head, _dot, rest = error.field.partition(".")
    number, _dot, name = rest.partition(".")
    if head == "batch_input":
        line = rows.built.origins[int(number)].line if number.isdecimal() else 0
        return _line_error(line, name, error.message)
    return FieldError(f"mission.{place_in_body(error.field)}", error.message)


def _line_error(line: int, name: str, message: str) -> FieldError:
    return FieldError(".".join(["file", *([str(line)] if line else []), *([name] if name else [])]), message)


# --- Shared by the operations ---


def caller(request: HttpRequest) -> User:
    return cast(User, request.user)


def actor(request: HttpRequest) -> str:
    """Return the caller's name in events: ``user:ID``."""
    return f"user:{request.user.pk}"


def visible_mission(request: HttpRequest, mission_id: int, action: Action = Action.VIEW) -> Mission:
    """Return a mission that the caller may see.

    Raises Http404, or NotAllowed if the caller may not do ``action`` to it.
    """
    mission = get_object_or_404(Mission.objects.visible_to(request.user), pk=mission_id)
    rights.require(request.user, action, mission)
    return mission


def estimate(amount: Decimal | None, currency: str) -> dict[str, Any]:
    """Return a price as EstimateOut has it."""
    return {"amount": amount_text(amount), "currency": currency}


def problems_of(errors: Iterable[FieldError]) -> list[dict[str, str]]:
    """Return errors in plain JSON values."""
    return [{"field": error.field, "message": error.message} for error in errors]


def submitted(mission: Mission) -> dict[str, Any]:
    """Return the response to a submission, in plain JSON values."""
    return {
        "api_mission_id": mission.pk,
        "total_count": mission.total_count,
        "status": str(mission.status),
        "estimate": estimate(mission.estimated_cost, mission.currency),
        "urls": mission_urls(mission.pk),
    }


def released(mission_id: int, result: services.Released) -> dict[str, Any]:
    """Return the response to a release, in plain JSON values."""
    price = estimate(result.estimate, result.currency)
    return {**state_of(mission_id), "released_count": result.count, "estimate": price}


def retried(mission_id: int, result: Retried) -> dict[str, Any]:
    """Return the response to a retry, in plain JSON values."""
    price = estimate(result.estimate, result.currency)
    return {**state_of(mission_id), "retry_count": result.count, "estimate": price}


def remember_result(
    request: HttpRequest, mission_id: int, response: Callable[[int, Any], dict[str, Any]]
) -> Callable[[Any], None]:
    """Return the callback that stores the response to a paid request in its transaction, so that a
    repeat never pays twice. ``response`` makes it of the mission's id and the result.
    """
    return lambda result: remember(request, 200, response(mission_id, result))


def remember(
    request: HttpRequest, status: int, response: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    """Store the response under the request's Idempotency-Key, if it has one."""
    claim = getattr(request, "idempotency", None)
    if claim is not None:
        claim.remember(status, response, headers)


def state_of(mission_id: int) -> dict[str, Any]:
    """Return the mission's status in a response."""
    status = Mission.objects.values_list("status", flat=True).get(pk=mission_id)
    return {"api_mission_id": mission_id, "status": status}


def _stopped(mission_id: int, stopped: Stopped) -> dict[str, Any]:
    return {**state_of(mission_id), "still_sending_count": len(stopped.still_sending)}
