"""The report of a campaign: injected faults, checks and violations, as tables and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.chaos.campaign import Round


def show_round(round_: Round, console: Console) -> None:
    """One line when it is over, and what was wrong."""
    faults = sum(round_.injected.values())
    console.print(
        f"round {round_.number}: {round_.setting}; {round_.missions} missions, {round_.items} items, "
        f"{round_.submits} submits, {round_.paid} paid; {faults} faults; {round_.seconds:.0f} s"
    )
    for violation in round_.violations:
        place = f" mission {violation.mission}" if violation.mission else ""
        console.print(f"  WRONG:{place} {violation.item} {violation}", style="bold red")
        for event in violation.events:
            console.print(f"    {event}")


def show(rounds: Sequence[Round], console: Console) -> None:
    """Show the tables at the end."""
    injected, did = _sum(rounds, "injected"), _sum(rounds, "did")
    for title, counter in (("What went wrong", injected), ("What a person did", did)):
        table = Table("", "times", title=title)
        for name, times in sorted((+counter).items()):
            table.add_row(name, str(times))
        console.print(table)
    wrong = sum(len(round_.violations) for round_ in rounds)
    items, paid = sum(round_.items for round_ in rounds), sum(round_.paid for round_ in rounds)
    console.print(
        f"{len(rounds)} rounds, {items} items, {paid} submissions paid, {sum(injected.values())} faults of "
        f"{len(+injected)} kinds: {wrong} violations."
    )


def write(rounds: Sequence[Round], path: Path, **about: object) -> None:
    content = {
        **about,
        "injected": _sum(rounds, "injected"),
        "rounds": [_plain(round_) for round_ in rounds],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False))


def _plain(round_: Round) -> dict[str, Any]:
    return {**vars(round_), "violations": [dataclasses.asdict(violation) for violation in round_.violations]}


def _sum(rounds: Sequence[Round], name: str) -> Counter[str]:
    total: Counter[str] = Counter()
    for round_ in rounds:
        total.update(getattr(round_, name))
    return total
