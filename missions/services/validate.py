"""Check a mission and price it. Nothing is stored, nothing is charged."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from batch_input.variables import PromptRules, expand_rows, vary_rows
from billing.models import SpendingLimit
from billing.selectors import budget_of
from core.db.values import is_storable, storable
from core.errors import FieldError, Invalid
from core.file_names import pattern_problem
from core.money import money_text
from core.reasons import Reason
from core.text import is_blank, trim
from missions.references import conversion_warnings, output_errors, replace_names
from missions.results.names import NamedRow, Naming, default_pattern, original_names, references_in
from providers import catalog, references
from providers.catalog import ParamsInvalid
from providers.catalog.task_types import TaskType
from templates_app.models import MissionTemplate

MAX_ERRORS = 1000
MAX_MONEY = Decimal(10) ** 10  # what a column holds
MAX_METADATA_BYTES = 16 * 1024
MAX_CUSTOM_ID = 200
MAX_VARIATIONS = 50
UNSTORABLE = gettext_noop(
    "Contains a value that cannot be stored: NUL, an infinite number, or nesting that is too deep."
)


class MissionInvalid(Invalid):
    """The mission cannot be created. Nothing was stored and nothing is charged.

    ``errors`` names every field: ``batch_input.3.prompt`` is a parameter of the fourth row,
    ``params.prompt`` one that all rows share; other names are arguments of ``validate_mission``.
    """

    @property
    def request_errors(self) -> Sequence[FieldError]:
        """The problems, with their paths in a request: rows and parameters are in ``config``."""
        return [FieldError(place_in_body(error.field), error.message) for error in self.errors]


def place_in_body(field: str) -> str:
    """Return the path that the field of a mission's error has in a request body."""
    head, _dot, rest = field.partition(".")
    if head == "params":
        return f"config.{rest}" if rest else "config"
    return f"config.{field}" if head == "batch_input" else field


@dataclass(frozen=True, slots=True)
class Draft:
    """A validated mission that is not stored yet.

    ``params`` are shared by all items, ``rows`` hold what differs. ``estimated_cost`` is None when
    the price of an item is not known. ``warnings`` are for people: images that are converted,
    names that several images have. ``has_rules``: prompts were changed by ``prompt_rules``.
    ``headings`` and ``origins`` are those of ``validate_mission``, the latter with the names of all
    images.
    """

    owner: AbstractBaseUser
    name: str
    description: str
    task_type: str
    model: catalog.Model
    params: dict[str, Any]
    rows: list[dict[str, Any]]
    custom_ids: list[str]
    estimated_cost: Decimal | None
    metadata: dict[str, Any]
    template_id: int | None
    spending_limit: Decimal | None
    file_name_pattern: str
    headings: Mapping[str, str]
    origins: list[dict[str, Any] | None]
    warnings: tuple[Reason, ...] = ()
    has_rules: bool = False

    def prices_of_parts(self, count: int) -> tuple[Decimal | None, Decimal | None]:
        """Return the prices of the first ``count`` items and of the rest; None if unknown."""
        first = total_price(self.model, (self.params | row for row in self.rows[:count]))
        if first is None or self.estimated_cost is None:
            return None, None
        return first, self.estimated_cost - first

    def with_model_in_name(self) -> Draft:
        """Return it with a name that ends with its model's, for missions of the same rows."""
        label = f" · {self.model.label}"[:200]
        return replace(self, name=self.name[: 200 - len(label)] + label)

    @property
    def placeholders(self) -> list[str]:
        """The placeholders that the form offers; parameters have a meaning as well."""
        return self.naming.placeholders(())

    def file_stems(self, limit: int | None = None) -> list[str]:
        """Return the names of the items' files without their endings, or those of the first."""
        return self.naming.stems(self.file_name_pattern, self.named_rows(limit))

    @property
    def naming(self) -> Naming:
        return Naming(self.model, len(self.rows), timezone.localdate(), self.metadata, self.headings)

    def named_rows(self, limit: int | None = None) -> list[NamedRow]:
        facts = zip(self.rows[:limit], self.custom_ids, self.origins, strict=False)
        return [
            NamedRow(index, self.params | row, custom_id, origin)
            for index, (row, custom_id, origin) in enumerate(facts, start=1)
        ]

    @property
    def media_ids(self) -> set[int]:
        """The uploaded files that any item names."""
        return {
            media_id for row in (self.params, *self.rows) for _name, media_id in references.media_ids(self.model, row)
        }

    @property
    def output_keys(self) -> set[tuple[int, int]]:
        """The results that any item names, as (item's id, number)."""
        return {key for row in (self.params, *self.rows) for _name, key in references.output_keys(self.model, row)}


@dataclass(frozen=True, slots=True)
class _Row:
    """A valid row: its place, its own parameters as entered, and all parameters to send.

    ``names`` are the names of images that it had before they were replaced, by reference.
    """

    number: int
    own: dict[str, Any]
    params: dict[str, Any]
    custom_id: str
    names: dict[str, str]


def validate_mission(
    *,
    owner: AbstractBaseUser,
    name: str,
    task_type: str,
    rows: Iterable[str | Mapping[str, Any]],
    params: Mapping[str, Any] | None = None,
    model: str = "",
    provider: str = "",
    description: str = "",
    repeat: int = 1,
    metadata: Mapping[str, Any] | None = None,
    template_id: int | None = None,
    spending_limit: Decimal | None = None,
    allow_free_form: bool = False,
    prompt_rules: PromptRules | None = None,
    columns: Sequence[Mapping[str, Any]] | None = None,
    file_name_pattern: str = "",
    headings: Mapping[str, str] | None = None,
    origins: Sequence[Mapping[str, Any] | None] | None = None,
    variations: Mapping[str, Sequence[Any]] | None = None,
) -> Draft:
    """Check a mission completely and price it.

    Raises MissionInvalid with all errors, up to MAX_ERRORS.

    A row that is a string fills the model's batch field. A row that is an object overrides
    ``params`` for its item and may hold ``custom_id``. Each row becomes ``repeat`` items. A
    template of the owner's fills in ``model`` and ``params`` where they are missing. ``model`` is
    an endpoint or ``provider:endpoint``. ``allow_free_form`` accepts an endpoint that is not in the
    catalogue, whose parameters nobody can check.

    ``prompt_rules`` change every prompt: texts around it, and variables, so that one row becomes
    several items; ``columns`` has the cells that variables may name, for each row.
    ``variations`` has several values of a parameter: every row is made with each of them.

    ``file_name_pattern`` names the result files; without one, the template's or a usual one does.
    ``headings`` maps the headings of the rows' sheet to the parameters that they fill, "" for none;
    ``origins`` holds what else each row had (``MissionItem.origin``).

    A mission may cost more than its own ``spending_limit``, which pauses it in time, but not more
    than its owner may still spend. An error in a shared parameter is reported once, not for every
    row.
    """
    errors = text_errors(name, description, metadata)
    try:
        shared = dict(params or {})
        if template_id is not None:
            config = _template_config(owner, template_id, task_type)
            shared = config.get("params", {}) | shared
            file_name_pattern = file_name_pattern or str(config.get("file_name_pattern") or "")
        chosen = choose_model(
            owner=owner,
            task_type=task_type,
            model=model,
            provider=provider,
            template_id=template_id,
            allow_free_form=allow_free_form,
        )
        entries = _read_rows(rows, repeat)
        numbers: Sequence[int] = range(len(entries))
        row_errors: list[FieldError] = []
        if prompt_rules:
            expanded = expand_rows(
                entries,
                model=chosen,
                shared=shared,
                rules=prompt_rules,
                columns=columns,
                limit=settings.MISSION_MAX_ITEMS // repeat,
            )
            if too_many := size_problem(expanded.count * repeat):
                raise MissionInvalid([too_many])
            entries, numbers, row_errors = expanded.rows, expanded.numbers, expanded.errors
        if variations:
            if wrong := _variation_errors(chosen, variations):
                raise MissionInvalid(wrong)
            most = len(entries) * math.prod(len(values) for values in variations.values())
            if too_many := size_problem(most * repeat):
                raise MissionInvalid([too_many])
            entries, numbers = vary_rows(entries, numbers, variations, model=chosen)
        try:
            valid_rows, warnings = _check_rows(owner, chosen, shared, entries, numbers)
        except MissionInvalid as invalid:
            raise MissionInvalid([*row_errors, *invalid.errors]) from None
        if row_errors:
            raise MissionInvalid(row_errors)
    except MissionInvalid as invalid:
        raise MissionInvalid([*errors, *invalid.errors][:MAX_ERRORS]) from None
    price = total_price(chosen, [row.params for row in valid_rows])
    estimated_cost = None if price is None else price * repeat
    errors += limit_errors(spending_limit, has_price=price is not None)
    errors += owner_limit_errors(owner, chosen, estimated_cost)
    pattern = trim(file_name_pattern)
    parameter_names = dict.fromkeys(name for row in valid_rows for name in row.params)
    naming = Naming(chosen, len(valid_rows), timezone.localdate(), metadata or {}, headings or {})
    if pattern and (problem := pattern_problem(pattern, naming.placeholders(parameter_names))):
        errors.append(FieldError("file_name_pattern", problem))
    if errors:
        raise MissionInvalid(errors[:MAX_ERRORS])
    # What all items share is stored once, on the mission. The batch field is always the item's own.
    common = {name: value for name, value in valid_rows[0].params.items() if name != chosen.batch_field}
    for row in valid_rows[1:]:
        for field in [
            field for field, value in common.items() if field not in row.params or row.params[field] != value
        ]:
            del common[field]
        if not common:
            break
    own = [{field: row.params[field] for field in row.params if field not in common} for row in valid_rows]
    facts = _origins(owner, chosen, valid_rows, origins)
    named = [
        NamedRow(number, row.params, row.custom_id, origin)
        for number, (row, origin) in enumerate(zip(valid_rows, facts, strict=True), start=1)
    ]
    return Draft(
        owner=owner,
        name=trim(name)[:200],
        description=description,
        task_type=task_type,
        model=chosen,
        params=common,
        rows=own * repeat,
        custom_ids=[row.custom_id for row in valid_rows] * repeat,
        estimated_cost=estimated_cost,
        metadata=dict(metadata or {}),
        template_id=template_id,
        spending_limit=spending_limit,
        file_name_pattern=pattern or default_pattern(chosen, named),
        headings=dict(headings or {}),
        origins=facts * repeat,
        warnings=tuple(warnings),
        has_rules=bool(prompt_rules),
    )


def _origins(
    owner: AbstractBaseUser,
    model: catalog.Model,
    rows: Sequence[_Row],
    origins: Sequence[Mapping[str, Any] | None] | None,
) -> list[dict[str, Any] | None]:
    """Return what each row had besides its parameters, with the original names of its images."""
    references_of = [references_in(model, row.params) for row in rows]
    known = original_names(owner.pk, (each for references in references_of for each in references))
    result: list[dict[str, Any] | None] = []
    for row, named in zip(rows, references_of, strict=True):
        origin = dict((origins[row.number] if origins else None) or {})
        written = {**row.names, **origin.get("names", {})}
        given = {each: name for each, name in written.items() if "://" not in name and not name.startswith("/media/")}
        found = {each: name for each in named if (name := given.get(each) or known.get(each))}
        if found:
            origin["names"] = storable(found)
        result.append(storable(origin) or None)
    return result


# --- The mission's own fields ---


def text_errors(name: str, description: str, metadata: Mapping[str, Any] | None) -> list[FieldError]:
    """Return the errors in a mission's name, description and metadata."""
    texts = {"name": name, "description": description, "metadata": metadata}
    errors = [FieldError(label, _(UNSTORABLE)) for label, value in texts.items() if not is_storable(value)]
    if is_blank(name):
        errors.append(FieldError("name", _("Enter a name for the mission.")))
    if not errors and len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        message = _("At most %(limit)s bytes of JSON.") % {"limit": f"{MAX_METADATA_BYTES:,}"}
        errors.append(FieldError("metadata", message))
    return errors


def limit_errors(limit: Decimal | None, *, has_price: bool) -> list[FieldError]:
    """Return the errors in a mission's own spending limit."""
    if limit is None:
        return []
    if not limit.is_finite() or not 0 < limit < MAX_MONEY or limit != round(limit, 6):
        message = _("Enter an amount above 0 with at most six decimals, or leave it empty for no limit.")
    elif not has_price:
        message = _(
            "The price of this model is unknown, so a limit cannot be kept. Leave it empty, or choose another model."
        )
    else:
        return []
    return [FieldError("spending_limit", message)]


def owner_limit_errors(
    owner: AbstractBaseUser, model: catalog.Model, estimated_cost: Decimal | None
) -> list[FieldError]:
    """Return an error if the owner may not spend what the mission is expected to cost."""
    limit = SpendingLimit.objects.filter(user=owner.pk).first()
    if limit is None:
        return []
    if estimated_cost is None:
        message = _("You have a spending limit, and the price of this model is unknown. Choose another model.")
        return [FieldError("model", message)]
    if estimated_cost and model.currency != limit.currency:
        facts = {"limit_currency": limit.currency, "currency": model.currency}
        message = _(
            "Your spending limit is in %(limit_currency)s, and this model is priced in %(currency)s. "
            "Choose another model, or ask an operator."
        )
        return [FieldError("model", message % facts)]
    budget = budget_of(limit, now=timezone.now())
    if not estimated_cost or estimated_cost <= budget.left:
        return []
    facts = {
        "price": money_text(estimated_cost, model.currency),
        "left": money_text(max(budget.left, Decimal(0)), model.currency),
        "limit": money_text(limit.amount, model.currency),
        "period": limit.get_period_display(),
    }
    message = _(
        "This costs about %(price)s, and %(left)s is left of your spending limit of %(limit)s %(period)s. "
        "Make fewer items, or ask an operator to raise the limit."
    )
    return [FieldError("batch_input", message % facts)]


def group_price(drafts: Sequence[Draft]) -> tuple[Decimal | None, str]:
    """Return the price of several missions, None if unknown, and its currency."""
    currencies = {draft.model.currency for draft in drafts if draft.estimated_cost != 0}
    known = [draft.estimated_cost for draft in drafts if draft.estimated_cost is not None]
    has_sum = len(known) == len(drafts) and len(currencies) < 2
    return sum(known, Decimal(0)) if has_sum else None, min(currencies, default="")


def group_limit_errors(drafts: Sequence[Draft]) -> list[FieldError]:
    """Return an error if the owner may not spend what several valid missions cost together."""
    price, currency = group_price(drafts)
    model = next((draft.model for draft in drafts if draft.model.currency == currency), drafts[0].model)
    return owner_limit_errors(drafts[0].owner, model, price) if price else []


def _template_config(owner: AbstractBaseUser, template_id: int, task_type: str) -> dict[str, Any]:
    """Return the saved parameters of a template of the owner's."""
    template = MissionTemplate.objects.filter(owner_id=owner.pk, pk=template_id).first()
    if template is None:
        message = _("You have no template %s.") % template_id
    elif template.task_type != task_type:
        facts = {"name": template.name, "made_for": template.task_type, "wanted": task_type}
        message = _("“%(name)s” is a template for %(made_for)s, not %(wanted)s.") % facts
    elif not isinstance(template.config, dict) or not isinstance(template.config.get("params", {}), dict):
        message = _("“%s” cannot be read: save it again.") % template.name
    else:
        return template.config
    raise MissionInvalid([FieldError("template_id", message)])


def choose_model(
    *,
    owner: AbstractBaseUser,
    task_type: str,
    model: str = "",
    provider: str = "",
    template_id: int | None = None,
    allow_free_form: bool = False,
) -> catalog.Model:
    """Return the model of a mission: the one that is named, else the template's, else the default.

    Raises MissionInvalid.
    """
    name = model
    if template_id is not None:
        name = name or _template_config(owner, template_id, task_type).get("model") or ""
    if task_type not in TaskType.values:
        raise MissionInvalid([FieldError("task_type", _("Choose one of %s.") % ", ".join(TaskType.values))])
    try:
        if not name:
            return catalog.default_model(task_type, provider=provider)
        if allow_free_form:
            chosen = catalog.find_model(name, task_type, provider, owner_id=owner.pk)
        else:
            chosen = catalog.get_model(name, provider, owner_id=owner.pk)
    except (catalog.UnknownModel, ValueError) as error:
        raise MissionInvalid([FieldError("model", str(error))]) from error
    if chosen.task_type != task_type:
        facts = {"model": name, "makes": chosen.task_type, "wanted": task_type}
        raise MissionInvalid([FieldError("model", _("%(model)s makes %(makes)s, not %(wanted)s.") % facts)])
    return chosen


# --- Rows ---


def size_problem(count: int) -> FieldError | None:
    """Return an error if ``count`` items are more than one mission may hold."""
    if count <= settings.MISSION_MAX_ITEMS:
        return None
    message = _("%(count)d items are more than one mission may hold (%(limit)d): split it.") % {
        "count": count,
        "limit": settings.MISSION_MAX_ITEMS,
    }
    return FieldError("batch_input", message)


def _variation_errors(model: catalog.Model, variations: Mapping[str, Sequence[Any]]) -> list[FieldError]:
    """Return the errors in several values of parameters."""
    errors: list[FieldError] = []
    for name, values in variations.items():
        field = f"variations.{name}"
        if name == model.batch_field or (not model.is_free_form and model.parameter(name) is None):
            names = ", ".join(each.name for each in model.parameters if each.name != model.batch_field)
            errors.append(FieldError(field, _("No parameter that can have several values. Choose: %s.") % names))
        elif not isinstance(values, list | tuple) or not 1 <= len(values) <= MAX_VARIATIONS:
            message = _("Give a list of at least one and at most %(count)d values.") % {"count": MAX_VARIATIONS}
            errors.append(FieldError(field, message))
        else:
            others = {each.name for each in model.parameters} - {name}
            wrong = [each for value in values for each in model.check_shared({name: value}, row_names=others)]
            errors += [FieldError(field, each.message) for each in wrong if each.field == name][:1]
    return errors


def _read_rows(rows: object, repeat: int) -> list[Any]:
    """Return ``rows`` as a list. A string is not a list of rows: it would be split into letters."""
    if isinstance(rows, str | Mapping) or not isinstance(rows, Iterable):
        raise MissionInvalid([FieldError("batch_input", _("Give a list of rows."))])
    entries = list(rows)
    if repeat < 1:
        raise MissionInvalid([FieldError("repeat", _("Must be at least 1."))])
    if not entries:
        raise MissionInvalid([FieldError("batch_input", _("Give at least one row."))])
    if too_many := size_problem(len(entries) * repeat):
        raise MissionInvalid([too_many])
    return entries


def _check_rows(
    owner: AbstractBaseUser,
    model: catalog.Model,
    shared: dict[str, Any],
    rows: Sequence[Any],
    numbers: Sequence[int],
) -> tuple[list[_Row], list[Reason]]:
    """Return the valid rows, with ``media:ID`` for the names of uploaded images, and warnings.

    ``numbers`` has the number by which the errors of each row name it. Raises MissionInvalid with
    the errors of all rows, parameters and files.
    """
    written = rows
    shared, rows, name_errors, warnings = replace_names(owner, model, shared, rows)
    named_wrongly = {number for number, _error in name_errors}
    row_names = {model.batch_field}.union(*(row for row in rows if isinstance(row, Mapping)))
    shared_errors = model.check_shared(shared, row_names=row_names)
    if model.is_free_form and not is_storable(shared):
        shared_errors.append(FieldError("", _(UNSTORABLE)))
    errors = [shared_error(error) for error in shared_errors]
    named_errors = [error for number, error in name_errors if number is None]
    errors = [shared_error(error) for error in named_errors] + [
        error for error in errors if error.field not in {f"params.{named.field}" for named in named_errors}
    ]
    reported = {error.field for error in (*shared_errors, *named_errors)}
    shared = {name: value for name, value in shared.items() if name not in reported}

    valid_rows: list[_Row] = []
    row_errors = [
        FieldError(f"batch_input.{numbers[place]}.{error.field}", error.message)
        for place, error in name_errors
        if place is not None
    ]
    for place, (number, row) in enumerate(zip(numbers, rows, strict=True)):
        if place in named_wrongly:
            continue
        own: dict[str, Any] = {}
        try:
            own, custom_id = _read_row(model, row)
            named = _names_replaced(model, written[place], own)
            valid_rows.append(_Row(number, own, model.clean(shared | own), custom_id, named))
        except ParamsInvalid as invalid:
            new = [error for error in invalid.errors if error.field not in reported or error.field in own]
            row_errors += [FieldError(f"batch_input.{number}.{error.field}", error.message) for error in new]
        if len(row_errors) >= MAX_ERRORS:
            break
    errors += row_errors

    names = [(f"params.{name}", name, media_id) for name, media_id in references.media_ids(model, shared)]
    names += [
        (f"batch_input.{row.number}.{name}", name, media_id)
        for row in valid_rows
        for name, media_id in references.media_ids(model, row.own)
    ]
    files = references.files_of(owner.pk, names)
    errors += references.file_errors(files, model, names)
    outputs = [(f"params.{name}", name, key) for name, key in references.output_keys(model, shared)]
    outputs += [
        (f"batch_input.{row.number}.{name}", name, key)
        for row in valid_rows
        for name, key in references.output_keys(model, row.own)
    ]
    errors += output_errors(owner.pk, model, outputs)
    if errors:
        raise MissionInvalid(list(dict.fromkeys(errors))[:MAX_ERRORS])
    return valid_rows, [*warnings, *conversion_warnings(files, model, names)]


def _names_replaced(model: catalog.Model, written: Any, own: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that references have replaced in a row, by reference."""
    if not isinstance(written, Mapping):
        written = {model.batch_field: written}
    found: dict[str, str] = {}
    for name in model.file_names(own):
        before, after = (value if isinstance(value, list) else [value] for value in (written.get(name), own[name]))
        found |= {
            new: old
            for old, new in zip(before, after, strict=False)
            if isinstance(old, str) and isinstance(new, str) and old != new
        }
    return found


def _read_row(model: catalog.Model, row: str | Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return an item's own parameters and its custom id. Raises ParamsInvalid."""
    if isinstance(row, str):
        return {model.batch_field: row}, ""
    if not isinstance(row, Mapping):
        raise ParamsInvalid([FieldError(model.batch_field, _("Give a text, or an object of parameters."))])
    own = dict(row)
    value = own.pop("custom_id", None)
    custom_id = "" if value is None else trim(str(value))
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise ParamsInvalid([FieldError("custom_id", _("Give a text or a whole number."))])
    if len(custom_id) > MAX_CUSTOM_ID:
        raise ParamsInvalid([FieldError("custom_id", _("At most 200 characters."))])
    if not is_storable(custom_id):
        raise ParamsInvalid([FieldError("custom_id", _(UNSTORABLE))])
    if model.is_free_form and not is_storable(own):
        raise ParamsInvalid([FieldError(model.batch_field, _(UNSTORABLE))])
    return own, custom_id


def shared_error(error: FieldError) -> FieldError:
    """Return an error of the catalogue as one of a shared parameter."""
    return FieldError(f"params.{error.field}" if error.field else "params", error.message)


def total_price(model: catalog.Model, params: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """Return the price of one attempt for each set of parameters; None when one is not known."""
    total = Decimal(0)
    for entry in params:
        price = model.price(entry)
        if price is None:
            return None
        total += price
    return total
