"""The page of the audit log."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.audit.models import AuditEntry, Verb, Via
from core.admin.readonly import DetailAdmin, choices, column, long_text, titled

# The kinds of objects, by the first part of their verbs, as a person may type them.
_KINDS = sorted({verb.partition(".")[0] for verb in Verb.values})


@admin.register(AuditEntry)
class AuditEntryAdmin(DetailAdmin):
    """The list of entries.  Nothing can be changed or deleted here."""

    list_display = [
        column("at", _("when")),
        column("person_name", _("person")),
        "action",
        column("object_name", _("object")),
        column("object_id", _("number")),
        "origin",
        column("address", _("address")),
        "shown_details",
    ]
    list_filter = [choices("verb", _("action"), Verb), ("at", titled(admin.DateFieldListFilter, _("when")))]
    search_fields = ["person_name"]  # shows the search box; get_search_results does the search
    search_help_text = _("A person's name, an address, or the number of an object (12, or mission 12).")
    sortable_by = ()
    ordering = ("-pk",)
    facts = [
        ("at", _("When")),
        ("person_name", _("Person")),
        ("person_id", _("Number of the person")),
        ("get_verb_display", _("Action")),
        ("object_name", _("Object")),
        ("object_id", _("Number of the object")),
        ("get_via_display", _("Via")),
        ("credential", _("Token or session")),
        ("address", _("Address")),
        ("request_id", _("Request")),
        ("details", _("Details")),
    ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by equality, which an index serves however long the log is."""
        term = search_term.strip()
        if not term:
            return queryset, False
        kind, _blank, number = term.partition(" ")
        if kind in _KINDS and number.strip():
            return queryset.filter(object_id=number.strip(), verb__startswith=f"{kind}."), False
        return queryset.filter(Q(person_name=term) | Q(address=term) | Q(object_id=term)), False

    @admin.display(description=_("action"))
    def action(self, entry: AuditEntry) -> str:
        return entry.get_verb_display()

    @admin.display(description=_("by way of"))
    def origin(self, entry: AuditEntry) -> str:
        via = str(Via(entry.via).label)
        return f"{via}: {entry.credential}" if entry.credential else via

    @admin.display(description=_("details"))
    def shown_details(self, entry: AuditEntry) -> str:
        return long_text(json.dumps(entry.details, ensure_ascii=False)) if entry.details else ""
