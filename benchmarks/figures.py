"""Times and figures of benchmarks: measure, summarise, print and save them."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def numbers(text: str) -> list[int]:
    """Parse numbers separated by commas, for argparse."""
    return [int(number) for number in text.split(",")]


def timed(action: Callable[[], Any]) -> float:
    """Return the milliseconds that ``action`` takes."""
    began = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - began)


def summary(name: str, times: list[float], target: float | None) -> dict[str, Any]:
    """Return the row for ``show_times``; ``times`` and ``target`` (of the median) are
    milliseconds.
    """
    median = statistics.median(times)
    return {
        "request": name,
        "median_ms": round(median, 1),
        "worst_ms": round(max(times), 1),
        "rounds": len(times),
        "target_ms": target,
        "is_met": None if target is None else median <= target,
    }


def show_times(figures: dict[str, Any]) -> None:
    """Print response times and whether each median meets its target."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "request", "median", "worst", "target", "", title=f"{figures['items']} items, {figures['database']}, ms"
    )
    for row in figures["requests"]:
        mark = {None: "", True: "met", False: "MISSED"}[row["is_met"]]
        table.add_row(row["request"], str(row["median_ms"]), str(row["worst_ms"]), str(row["target_ms"] or ""), mark)
    Console(width=120).print(table)


def show_table(rows: list[dict[str, Any]], columns: Sequence[str], *, title: str) -> None:
    """Print some columns of the rows."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows:
        cells = (row[column] for column in columns)
        table.add_row(*(cell if isinstance(cell, str) else f"{cell:,}" for cell in cells))
    Console(width=140).print(table)


def save(figures: Any, path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, default=str, indent=2) + "\n")
