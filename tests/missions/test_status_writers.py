"""Only ``missions.lifecycle`` writes a status. This reads the source tree and reports every other
write.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from django.apps import apps
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
LIFECYCLE = ROOT / "missions" / "lifecycle"
# Number of reviewed writes whose columns are known only at run time, by file.
REVIEWED = {
    "core/errors.py": 1,  # status of an HTTP answer
    "providers/provider_accounts.py": 1,  # reason of a pause
    "benchmarks/bench_scale.py": 2,  # items that a benchmark skips, in a temporary database
    "benchmarks/bench_verbs.py": 2,  # the same
    "core/api/idempotency.py": 2,  # status of an HTTP answer
    "devtools/management/commands/make_history.py": 2,  # generated history
    "drafts/services.py": 1,  # columns of a form
    "missions/search/indexing.py": 1,  # columns of the state of the index
    "missions/execution/poll.py": 1,  # when to poll running attempts again
    "missions/results/download.py": 1,  # why a result is not stored yet, and the next try
    "core/admin/bulk.py": 1,  # how far an action is
    "notifications/api.py": 1,  # the settings of a webhook
    "notifications/web.py": 1,  # the settings of a channel
    "notifications/delivery.py": 3,  # the tries of a delivery
    "missions/maintenance/reconcile_counts.py": 1,  # a mission's counts and cost
}
UPDATES = {"update", "aupdate", "Mission", "MissionItem", "Attempt", "Output", "setattr", "__setattr__"}
UPDATES |= {"bulk_update", "abulk_update", "bulk_create", "abulk_create", "save", "asave", "create", "acreate"}
UPDATES |= {"get_or_create", "aget_or_create", "update_or_create", "aupdate_or_create"}
SQL = re.compile(r"\bset\b[^;]*?\bstatus\b[\"'`\]]?\s*=", re.IGNORECASE | re.DOTALL)


def status_writes(source: str) -> list[int]:
    """Return the lines that may write a status. ``update(**columns)`` counts: its columns are not
    in the source.
    """
    return sorted({node.lineno for node in ast.walk(ast.parse(source)) if _writes_status(node)})  # type: ignore[attr-defined]


def _writes_status(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="status", ctx=ast.Store() | ast.Del()):
            return True
        case ast.Constant(value=str(text)):
            return bool(SQL.search(text))
        case ast.JoinedStr():
            return bool(SQL.search("".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))))
        case ast.Call() if (name := getattr(node.func, "attr", getattr(node.func, "id", ""))) in UPDATES:
            arguments = [inner for value in [*node.args, *node.keywords] for inner in ast.walk(value)]
            is_open = any(key.arg is None and not isinstance(key.value, ast.Dict) for key in node.keywords)
            return (is_open and name in {"update", "aupdate"}) or any(
                (isinstance(inner, ast.Constant) and inner.value == "status")
                or (isinstance(inner, ast.keyword) and inner.arg == "status")
                for inner in arguments
            )
    return False


def test_only_lifecycle_writes_a_status():
    folders = {app.path for app in apps.get_app_configs() if Path(app.path).parent == ROOT}
    sources = [path for folder in [*folders, "benchmarks", "devtools"] for path in (ROOT / folder).rglob("*.py")]
    writes = {path: status_writes(path.read_text(encoding="utf-8")) for path in sources}

    assert sum(len(lines) for path, lines in writes.items() if LIFECYCLE in path.parents) >= 5
    others = {str(path.relative_to(ROOT)): lines for path, lines in writes.items() if LIFECYCLE not in path.parents}
    assert not {name: lines for name, lines in others.items() if len(lines) != REVIEWED.get(name, 0)}


def test_status_writes_finds_writes():
    for source in (
        "item.status = 'failed'",
        "mission.items.first().status = ItemStatus.FAILED",
        "a, item.status = 1, 2",
        "for item.status in statuses: pass",
        "Mission.objects.update(status='failed')",
        "Mission.objects.filter(pk=1).update(name='x', status=MissionStatus.FAILED)",
        "rows.update(**{'status': to})",
        "rows.update(**{'name': 1, **{'status': to}})",
        "rows.update(**changes)",
        "Attempt.objects.bulk_update(rows, fields=('status',))",
        "Attempt.objects.bulk_create(rows, update_conflicts=True, update_fields=['status'], unique_fields=['pk'])",
        "item.save(update_fields=['status'])",
        "item.outputs.create(status='lost')",
        "Output.objects.get_or_create(pk=1, defaults={'status': 'lost'})",
        "models.MissionItem(mission=mission, status='pending')",
        "Attempt.objects.bulk_create(Attempt(item=item, status='running') for item in items)",
        "setattr(item, 'status', 'failed')",
        "cursor.execute('UPDATE missions_mission SET status = %s', ['failed'])",
        "cursor.execute(f'UPDATE {table} SET status={value}')",
    ):
        assert status_writes(source), source


def test_status_writes_ignores_reads():
    for source in (
        "if item.status == 'failed': pass",
        "status = item.status",
        "Mission.objects.filter(status='failed').update(name='x')",
        "Mission.objects.filter(status='failed').update(**{'name': 'x'})",
        "Output.objects.create(item=item)",
        "HttpResponse(status=404)",
        "RemoteState(task_id='1', status=RemoteStatus.RUNNING)",
        "Attempt.objects.bulk_update(rows, ['next_poll_at'])",
        "cursor.execute('SELECT status FROM missions_mission WHERE status = %s', ['failed'])",
    ):
        assert not status_writes(source), source
