"""The documentation names every option with its default, and every kind of fault."""

import dataclasses

import pytest

from devtools.simulators.http import HTTP_FAULTS
from devtools.simulators.runninghub.faults import WAYS
from devtools.simulators.runninghub.options import Options
from devtools.simulators.runninghub.process import ROOT

PAGE = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("field", dataclasses.fields(Options), ids=lambda field: field.name)
def test_option_is_documented_with_its_default(field: dataclasses.Field[object]) -> None:
    default = getattr(Options(), field.name)
    shown = ", ".join(f"{name}={value}" for name, value in default.items()) if isinstance(default, dict) else default
    assert f"| `{field.name}` | {shown} |" in PAGE


@pytest.mark.parametrize("where", WAYS)
def test_fault_is_documented_with_its_ways(where: str) -> None:
    rows = [row for row in PAGE.splitlines() if row.startswith("| `") and f"`{where}`" in row.split("|")[1]]
    assert any(all(f"`{way}`" in row for way in WAYS[where][0]) for row in rows)


def test_http_statuses_are_documented() -> None:
    assert f"a status: {' '.join(sorted(HTTP_FAULTS))} |" in PAGE
