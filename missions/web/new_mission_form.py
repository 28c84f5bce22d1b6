"""What lies on the form_state while a mission is put together: the form and the imported file, and what a page shows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from django.contrib.auth.models import User

from drafts import services as drafts
from drafts.models import FormDraft
from missions.batch_input import columns, composition
from missions.batch_input.preview import Preview, longest_prompt, preview
from missions.batch_input.tables import Table
from missions.web.forms.new_mission import COLUMN, Entered, NewMissionForm, model_of
from missions.web.new_mission_preview import (
    cell_of,
    image_limit,
    images_of,
    item_as_sent,
    keep_typing,
    problem_of_form,
    problem_of_row,
)
from providers import catalog
from providers.catalog.task_types import TaskType
from providers.parameter_fields import PARAMETER
from templates_app.models import MissionTemplate

TILES = 48  # images shown of a batch: the rest is counted
ROW_PROBLEMS = 20
SAMPLES = 3  # rows of a file

NAMES = frozenset(NewMissionForm.base_fields) | {"model", "template"}


@dataclass
class MissionFormState:
    """``notes`` are (kind, text) for the person, told once."""

    owner: User
    key: str
    fields: dict[str, str]
    table: Table | None = None
    file_name: str = ""
    notes: list[tuple[str, str]] = field(default_factory=list)
    is_new_table: bool = False
    is_saving_template: bool = False  # the fold in which a template is named stays open
    changed: frozenset[str] = frozenset()  # the texts that a button has changed: the page must show them anew

    @classmethod
    def of_draft(cls, draft: FormDraft, fields: Mapping[str, str] | None = None) -> Self:
        table = Table.from_json(draft.rows) if draft.table else None
        return cls(draft.owner, draft.key, dict(draft.fields if fields is None else fields), table, draft.file_name)

    @cached_property
    def entered(self) -> Entered:
        """Only to be asked when the fields do not change any more."""
        return Entered(self.fields, owner=self.owner, table=self.table)

    def keep(self, draft: FormDraft) -> None:
        """Raises AlreadySubmitted."""
        drafts.keep_form(draft, self.fields)
        if self.is_new_table:
            table = self.table.as_json() if self.table else None
            drafts.keep_table(draft, file_name=self.file_name, table=table)

    def say(self, kind: str, text: str) -> None:
        self.notes.append((kind, text))

    def put_table(self, table: Table | None, name: str = "") -> None:
        """Take another file: what its columns mean is guessed anew."""
        self.table, self.file_name, self.is_new_table = table, name, True
        self.forget(COLUMN)
        self.fields.pop("leave_out", None)

    def forget(self, prefix: str) -> None:
        self.fields = {name: value for name, value in self.fields.items() if not name.startswith(prefix)}

    def may_submit(self, found: Preview) -> bool:
        return found.is_ready and not self.entered.form.errors

    def context(self) -> dict[str, Any]:
        """All that the templates show."""
        entered = self.entered
        keep_typing(entered.form, self.changed)
        found = preview(entered.wanted)
        prompt = columns.prompt_field(entered.model)
        shared = list(entered.parameters_form)
        prompts = [bound for bound in shared if prompt and bound.name == PARAMETER + prompt.name]
        return {
            "form_state": self,
            "entered": entered,
            "form": entered.form,
            "found": found,
            "may_submit": self.may_submit(found),
            "types": list(TaskType),
            "models": [(model, catalog.price_in_words(model)) for model in catalog.all_models(entered.task_type)],
            "price": catalog.price_in_words(entered.model),
            "templates": MissionTemplate.objects.filter(owner_id=self.owner.pk).order_by("name"),
            "sources": composition.sources_for(entered.model),
            "shared_prompt": prompts[0] if prompts else None,
            "parameters": [bound for bound in shared if bound not in prompts],
            "longest": longest_prompt(entered.wanted),
            "line_count": len(composition.prompt_lines(entered.entry.prompts)),
            "image_limit": image_limit(entered.model),
            "tiles": self._tiles(),
            "problems": [problem_of_form(error.field, error.message) for error in found.problems],
            "row_problems": [problem_of_row(problem) for problem in found.row_problems[:ROW_PROBLEMS]],
            "row_problem_count": len(found.row_problems),
            "row_count": composition.count(entered.entry),
            "samples": self._samples(),
            "first_items": [item_as_sent(item, self.owner) for item in found.first_items],
            "further_count": max(found.count - len(found.first_items), 0),
        }

    def _samples(self) -> list[list[str]]:
        """The first rows of the file, as many cells each as there are columns."""
        if self.table is None or self.entered.columns_form is None:
            return []
        width = len(self.entered.columns_form.fields)
        records = self.table.body(has_header=self.entered.has_header)[:SAMPLES]
        return [[cell_of(record, place) for place in range(width)] for record in records]

    def _tiles(self) -> dict[str, Any]:
        """The first images of the batch, with the prompt of each."""
        entry = self.entered.entry
        groups = composition.image_groups(entry)
        files = images_of((name for group in groups[:TILES] for name in group), self.owner)
        texts = entry.image_prompts.splitlines() if entry.has_prompt_each else []
        shown = [
            {
                "number": number,
                "images": [files.get(name, {"name": name}) for name in group],
                "prompt": texts[number - 1] if number <= len(texts) else "",
            }
            for number, group in enumerate(groups[:TILES], start=1)
        ]
        return {"shown": shown, "count": len(groups), "more": max(len(groups) - TILES, 0)}


def typed(posted: Mapping[str, Any], kept: Mapping[str, str]) -> dict[str, str]:
    """The fields as they were posted.  What the page did not show, or did not post again because it has not changed, stays.

    A box that is not checked is not posted: ``header_shown`` tells that from one that was not there.
    """
    wanted = {name: str(value) for name, value in posted.items() if _is_field(name)}
    boxes = {"leave_out"} | ({"has_header"} if "header_shown" in posted else set())
    fields = {name: value for name, value in kept.items() if name not in boxes} | wanted
    return _without_usual(fields, shown=str(posted.get("shown_model", "")))


def _without_usual(fields: dict[str, str], *, shown: str) -> dict[str, str]:
    """When another model was chosen, leave what was only the usual value of the one that was shown: nobody has chosen it."""
    model = model_of(fields)
    if shown == model.endpoint:
        return fields
    try:
        before = catalog.get_model(shown)
    except catalog.UnknownModel:
        return fields
    usual = {PARAMETER + field.name: str(field.default) for field in before.parameters if field.default is not None}
    return {name: value for name, value in fields.items() if usual.get(name) != value}


def _is_field(name: str) -> bool:
    return name in NAMES or name.startswith((PARAMETER, COLUMN))
