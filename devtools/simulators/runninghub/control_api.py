"""/__sim__/: statistics, and options at run time.  For callers on the same machine; no key."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from devtools.simulators.http import Answer, Request, as_json
from devtools.simulators.runninghub import envelopes, service
from devtools.simulators.runninghub.faults import Faults
from devtools.simulators.runninghub.options import NAMES, Options
from devtools.simulators.runninghub.service import Simulator

Start = Callable[[Simulator], None]


def answer(sim: Simulator, start: Start, request: Request) -> Answer:
    """Answer a request; after a reset ``start`` restores the first options and faults."""
    if not request.is_local:
        return as_json({"error": "only from the same machine"}, 403)
    name = f"{request.method} {request.path.removeprefix('/__sim__/').rstrip('/')}"
    if name == "POST reset":
        return as_json(reset(sim, start))
    if name == "POST options":
        return set_options(sim, request)
    if name not in READERS:
        return as_json({"error": "no such page", "pages": [*READERS, "POST options", "POST reset"]}, 404)
    try:
        return as_json(READERS[name](sim, request))
    except ValueError as problem:
        return as_json({"error": str(problem)}, 400)


def stats(sim: Simulator, request: Request) -> envelopes.Json:
    now = time.time()
    counts = {name: sim.counts[name] for name in service.COUNTED}
    sums = {"refused": sim.store.refusals(), **sim.store.sums(now), "files_uploaded": sim.store.uploads()}
    return {**counts, **sums, "charged": str(service.charged(sim, now)), "now": now}


def paid(sim: Simulator, request: Request) -> envelopes.Json:
    """Return how often each request and each prompt was accepted."""
    rows = sim.store.paid()
    prompts: Counter[str] = Counter()
    for _, params, times in rows:
        prompts[service.prompt_of(json.loads(params))] += times
    return {"requests": {digest: times for digest, _, times in rows}, "prompts": dict(prompts)}


def submits(sim: Simulator, request: Request) -> list[envelopes.Json]:
    """Return accepted and refused submits since ``?since=`` (epoch seconds), oldest first."""
    since = float(request.query.get("since", ["0"])[0])
    accepted = [
        {
            "at": task.accepted_at,
            "endpoint": task.endpoint,
            "prompt": service.prompt_of(json.loads(task.params)),
            "task_id": task.id,
            "refused": "",
        }
        for task in sim.store.accepted_since(since)
    ]
    refused = [
        {"at": at, "endpoint": endpoint, "prompt": prompt, "task_id": "", "refused": what}
        for at, what, endpoint, prompt in sim.store.refused_since(since)
    ]
    return sorted(accepted + refused, key=lambda entry: entry["at"])


def tasks(sim: Simulator, request: Request) -> list[envelopes.Json]:
    """Return the newest tasks, ``?limit=`` of them (100)."""
    now, entries = time.time(), []
    for task in sim.store.tasks(int(request.query.get("limit", ["100"])[0])):
        entry = dataclasses.asdict(task)
        for name in ("owner", "base"):
            del entry[name]
        ends_at = None if task.outcome == "never" else task.ends_at
        entries.append(entry | {"ends_at": ends_at, "status": task.status(now), "params": json.loads(task.params)})
    return entries


def options(sim: Simulator, request: Request) -> envelopes.Json:
    return {**dataclasses.asdict(sim.options), "faults": sim.faults.listed()}


def set_options(sim: Simulator, request: Request) -> Answer:
    """Change options and arm faults, all or none."""
    before, armed = sim.options, sim.faults.listed()
    sim.options = dataclasses.replace(before)
    try:
        for name, value in request.json().items():
            change(sim.options, sim.faults, name, value)
    except ValueError as problem:
        sim.options, sim.faults.armed = before, {}
        for name, amount in armed.items():
            sim.faults.arm(name, amount)
        return as_json({"error": str(problem)}, 400)
    return as_json(options(sim, request))


def change(options: Options, faults: Faults, name: str, value: Any) -> None:
    """Set one entry of ``{"task_seconds": 2, "submit_500": 0.1, "faults": {…}}``."""
    if name == "faults" and isinstance(value, dict):
        for fault, amount in value.items():
            faults.arm(fault, amount)
    elif name in NAMES:
        options.change(name, value)
    else:
        faults.arm(name, value)


def reset(sim: Simulator, start: Start) -> envelopes.Json:
    """Forget everything."""
    sim.store.clear()
    sim.counts.clear()
    start(sim)
    return {"reset": True}


READERS: dict[str, Callable[[Simulator, Request], Any]] = {
    "GET stats": stats,
    "GET paid": paid,
    "GET submits": submits,
    "GET tasks": tasks,
    "GET options": options,
}
