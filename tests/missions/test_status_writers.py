"""Only ``missions.lifecycle`` writes a status: this reads the whole source tree and looks for anybody else who does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
FOLDERS = [
    "accounts",
    "benchmarks",
    "billing",
    "core",
    "devtools",
    "drafts",
    "events",
    "media",
    "missions",
    "operations",
    "providers",
    "runninghub_batch",
    "templates_app",
    "workers",
]
THE_WRITER = ROOT / "missions" / "lifecycle.py"
# Writes of names that only the run knows, which a person has looked at: how many in which file, and what they write.
JUDGED = {
    "drafts/services.py": 1,  # columns of a form
    "operations/reconcile_counts.py": 1,  # a mission's counts and cost
    "missions/execution/poll.py": 1,  # what was seen of running attempts, and when to ask again
    "core/api/idempotency_keys.py": 2,  # of an HTTP answer
    "benchmarks/bench_scale.py": 2,  # of items that a measurement skips, in a database that is thrown away
    "benchmarks/bench_verbs.py": 2,  # of items that failed before a measurement begins, likewise
    "devtools/management/commands/make_history.py": 2,  # a past that never was: of missions, before their rows exist
}
MODELS = {"Mission", "MissionItem", "Attempt", "Output"}
UPDATES = {"update", "aupdate"}
MAKERS = {"create", "acreate", "get_or_create", "aget_or_create", "update_or_create", "aupdate_or_create"}
NAMERS = {"bulk_update", "abulk_update", "bulk_create", "abulk_create", "save", "asave"}  # they name columns in lists
RAW = re.compile(r"\bset\b[^;]*?\bstatus\b[\"'`\]]?\s*=", re.IGNORECASE | re.DOTALL)


def status_writes(source: str) -> list[int]:
    """The lines that may write a status.  What cannot be judged, like ``update(**anything)``, counts as a write."""
    return sorted({getattr(node, "lineno", 0) for node in ast.walk(ast.parse(source)) if _writes(node)})


def _writes(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="status", ctx=ast.Store() | ast.Del()):
            return True
        case ast.Call():
            return _call_writes(node)
        case ast.Constant(value=str(text)):
            return bool(RAW.search(text))
        case ast.JoinedStr():
            return bool(RAW.search("".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))))
    return False


def _call_writes(call: ast.Call) -> bool:
    name = _name(call.func)
    if name in UPDATES | MAKERS:
        return _keywords_write(call, is_strict=name in UPDATES)
    if name in MODELS:
        return _keywords_write(call, is_strict=False)
    if name in NAMERS:
        return _names_status([*call.args, *(keyword.value for keyword in call.keywords)])
    return name in ("setattr", "__setattr__") and _names_status(call.args)


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _keywords_write(call: ast.Call, *, is_strict: bool) -> bool:
    for keyword in call.keywords:
        if keyword.arg == "status" or ((keyword.arg or "").endswith("defaults") and _has_key(keyword.value)):
            return True
        if keyword.arg is None:
            is_plain = isinstance(keyword.value, ast.Dict)
            if _has_key(keyword.value) or (is_strict and not is_plain):
                return True
    return False


def _has_key(value: ast.expr) -> bool:
    in_braces = any(
        _is_status(key)
        for node in ast.walk(value)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if key is not None
    )
    in_call = any(
        keyword.arg == "status" for node in ast.walk(value) if isinstance(node, ast.Call) for keyword in node.keywords
    )
    return in_braces or in_call


def _names_status(values: Iterable[ast.expr]) -> bool:
    return any(_is_status(node) for value in values for node in ast.walk(value) if not isinstance(value, ast.Dict))


def _is_status(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == "status"


def _sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_only_lifecycle_writes_a_status():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in _sources()
        if path != THE_WRITER
        and len(lines := status_writes(path.read_text(encoding="utf-8"))) != JUDGED.get(str(path.relative_to(ROOT)), 0)
    }
    assert not found


def test_the_walk_sees_the_source_and_the_writes_of_lifecycle_itself():
    assert {ROOT / "missions" / "execution" / "submit.py", ROOT / "runninghub_batch" / "settings.py"} < set(_sources())
    assert len(status_writes(THE_WRITER.read_text(encoding="utf-8"))) >= 5


@pytest.mark.parametrize(
    "planted",
    [
        "item.status = 'failed'",
        "item.status: str = 'failed'",
        "mission.items.first().status = ItemStatus.FAILED",
        "a, item.status = 1, 2",
        "for item.status in statuses: pass",
        "with opened() as item.status: pass",
        "Mission.objects.update(status='failed')",
        "Mission.objects.filter(pk=1).update(name='x', status=MissionStatus.FAILED)",
        "await Mission.objects.aupdate(status='failed')",
        "rows.update(**{'status': to})",
        "rows.update(**{'name': 1, **{'status': to}})",
        "rows.update(**dict(status=to))",
        "rows.update(**changes)",
        "Attempt.objects.bulk_update(rows, ['error_code', 'status'])",
        "Attempt.objects.bulk_update(rows, fields=('status',))",
        "Attempt.objects.bulk_create(rows, update_conflicts=True, update_fields=['status'], unique_fields=['pk'])",
        "item.save(update_fields=['status'])",
        "Output.objects.create(item=item, status='lost')",
        "item.outputs.create(status='lost')",
        "Output.objects.get_or_create(pk=1, defaults={'status': 'lost'})",
        "Output.objects.update_or_create(pk=1, create_defaults={'status': 'lost'})",
        "Mission(status='queued')",
        "models.MissionItem(mission=mission, status='pending')",
        "MissionItem(**{'status': 'pending'})",
        "Attempt.objects.bulk_create(Attempt(item=item, status='running') for item in items)",
        "setattr(item, 'status', 'failed')",
        "object.__setattr__(item, 'status', 'failed')",
        "cursor.execute('UPDATE missions_mission SET status = %s', ['failed'])",
        "cursor.execute(\"update missions_mission set name = 'a', \\\"status\\\" = 'failed'\")",
        "cursor.execute(f'UPDATE {table} SET status={value}')",
        "cursor.execute('''\n    UPDATE missions_mission\n    SET updated_at = now(),\n        status = 'failed'\n''')",
    ],
)
def test_a_planted_write_is_noticed(planted: str):
    assert status_writes(planted)


@pytest.mark.parametrize(
    "harmless",
    [
        "if item.status == 'failed': pass",
        "status = item.status",
        "Mission.objects.filter(status='failed').update(name='x')",
        "Mission.objects.filter(status='failed').update(**{'name': 'x'})",
        "Output.objects.create(item=item)",
        "HttpResponse(status=404)",
        "RemoteState(task_id='1', status=RemoteStatus.RUNNING)",
        "Attempt.objects.bulk_update(rows, ['next_poll_at'])",
        "cursor.execute('SELECT status FROM missions_mission WHERE status = %s', ['failed'])",
        "models.CharField(choices=MissionStatus.choices, default=MissionStatus.QUEUED)",
    ],
)
def test_a_read_is_not_taken_for_a_write(harmless: str):
    assert not status_writes(harmless)
