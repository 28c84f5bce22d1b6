"""A report says what was read, survives JSON and is shown in the reader's language."""

from __future__ import annotations

import io
import json

from django.utils import translation

from batch_input import report
from batch_input.report import ColumnMatch, InputReport
from batch_input.rows import ImportedTable
from batch_input.tables import Table, read_table


def test_report_survives_json_and_is_translated() -> None:
    warnings = (report.OTHER_SHEETS(sheet="甲", others="乙、丙"), report.HIDDEN_ROWS(count=12))
    whole = InputReport(name="a.xlsx", kind="xlsx", sheet="甲", other_sheets=("乙", "丙"), rows=3, warnings=warnings)

    stored = json.loads(json.dumps(whole.to_json() | {"of_another_version": 1}))

    assert InputReport.from_json(stored) == whole
    assert InputReport.from_json(None) == InputReport()
    with translation.override("zh-hans"):
        assert "12 行" in InputReport.from_json(stored).warning_texts[1]


def test_table_carries_its_report() -> None:
    table = read_table(io.BytesIO(b"prompt,note,seed\n\nfox,x,1\nowl,,2\n"), name="a.csv")
    matches = [ColumnMatch("prompt", "prompt", "name"), ColumnMatch("note"), ColumnMatch("seed", "seed", "synonym")]
    imported = ImportedTable(Table.from_json(table.as_json()), True, matches)

    assert imported.report.name == "a.csv"
    assert imported.report.kind == "csv"
    assert imported.report.header_line == 1
    assert imported.report.rows == 2
    assert imported.report.columns == ("prompt", "seed")
    assert imported.report.unused_columns == ("note",)
    assert [str(warning) for warning in imported.report.warnings] == ["Guessed: Seed. Check what each column fills."]
    assert InputReport.from_json(imported.report.to_json()) == imported.report
