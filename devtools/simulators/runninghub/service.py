"""RunningHub's own endpoints."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from devtools.simulators.http import Answer, Request, as_json, spoil
from devtools.simulators.runninghub import envelopes, faults
from devtools.simulators.runninghub.multipart import file_part
from devtools.simulators.runninghub.options import Options
from devtools.simulators.runninghub.state import Store
from devtools.simulators.runninghub.tasks import Task, end_of, kind_of

# what the first letters of a key mean on each family of endpoints; no key is a bad key
KEY_CODES = {"bad": "1002", "consumer": "1014", "poor": "416"}
ONLY_BAD = {"bad": "1002"}
KEY_CAP = re.compile(r"cap([0-9]{1,4})-")  # cap20-anything: a key with a limit of its own

REQUIRED = {
    "rhart-image-v1/text-to-image": ("prompt", "aspectRatio"),
    "rhart-image-v1/edit": ("prompt", "aspectRatio", "imageUrls"),
    "rhart-video-v3.1-lite/text-to-video": ("prompt", "aspectRatio", "resolution"),
    "rhart-video-v3.1-lite/image-to-video": ("prompt", "aspectRatio", "resolution", "imageUrls"),
    "rhart-video-s/text-to-video": ("prompt", "aspectRatio", "duration"),
    "rhart-video-s/image-to-video": ("prompt", "aspectRatio", "duration", "imageUrl"),
}
TYPES: dict[str, type] = {
    "prompt": str,
    "aspectRatio": str,
    "duration": str,
    "resolution": str,
    "imageUrl": str,
    "imageUrls": list,
    "webhookUrl": str,
}
UPLOAD_TYPES = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp"), "image"),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv"), "video"),
    **dict.fromkeys((".mp3", ".wav", ".flac"), "audio"),
    ".zip": "zip",
}
FIRST_ID = 2_013_508_786_110_730_241
COUNTED = ("submits", "queries", "uploads", "downloads", "webhooks", "webhooks_delivered", "webhooks_failed")


@dataclass
class Simulator:
    """State that all endpoints share.  ``counts`` begin with the process; the rest is on disk."""

    options: Options
    faults: faults.Faults
    store: Store
    counts: Counter[str]
    last_id: int = 0

    def new_id(self) -> str:
        """Return 19 digits, unique over restarts: microseconds of a clock that always moves."""
        self.last_id = max(self.last_id + 1, time.time_ns() // 1000)
        return str(FIRST_ID + self.last_id)

    def meet(self, where: str, marks: str = "", subject: str = "") -> str:
        return self.faults.meet(where, marks, subject, self.options.seed)

    def spoilt(self, answer: Answer, what: str, refuse: Callable[[str], Any]) -> Answer:
        return spoil(answer, what, lambda name: refuse(faults.code_of(name)), self.options.retry_after)


class Refused(Exception):
    """A submit that is not accepted.  ``what`` as in faults: a code, an HTTP status, a cut."""

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(what, detail)
        self.what = what
        self.detail = detail


# --- submit ---


async def submit(sim: Simulator, request: Request) -> Answer:
    sim.counts["submits"] += 1
    endpoint = request.path.removeprefix("/openapi/v2/")
    await asyncio.sleep(sim.options.submit_latency)
    try:
        task, now = accept(sim, request, endpoint), time.time()
    except Refused as refused:
        sim.store.refused(refused.what, endpoint, prompt_of(request.json()))
        detail = refused.detail
        return sim.spoilt(as_json({}), refused.what, lambda code: envelopes.refusal(code, detail))
    fault = sim.meet("paid", task.marks, task.request)
    content = envelopes.submitted(task, now, ends_in_answer=sim.options.ends_in_answer)
    return sim.spoilt(as_json(content), fault, envelopes.refusal)


def accept(sim: Simulator, request: Request, endpoint: str) -> Task:
    """Check a submit, then store its task.  Raises Refused.

    Nothing awaits in here, so that the cap is never exceeded.  The hash of a request is made of
    endpoint and parameters, without the webhook.
    """
    if code := key_problem(request.key, KEY_CODES):
        raise Refused(code)
    params = request.json()
    check_params(sim.options, endpoint, params)
    text = json.dumps({name: value for name, value in params.items() if name != "webhookUrl"}, sort_keys=True)
    digest = hashlib.blake2b(f"{endpoint} {text}".encode(), digest_size=8).hexdigest()
    marks = " ".join(marker.group() for marker in faults.MARKER.finditer(text))
    try:
        fault = sim.meet("submit", marks, digest)
    except ValueError as problem:
        raise Refused("1007", str(problem)) from None
    if fault:
        raise Refused(fault)
    owner, now = owner_of(request.key), time.time()
    if sim.store.unfinished(owner, now) >= cap_of(sim, request.key):
        raise Refused(sim.options.cap_code)
    outcome = sim.meet("task", marks, digest) or "success"
    share = faults.chance(sim.options.seed, digest, sim.store.times_paid(digest))
    usual_seconds = sim.options.task_seconds * (1 + sim.options.task_jitter * (2 * share - 1))
    seconds = faults.number(marks, "slow", usual_seconds)
    task = Task(
        id=sim.new_id(),
        owner=owner,
        request=digest,
        endpoint=endpoint,
        params=text,
        marks=marks,
        base=request.base,
        webhook_url=params.get("webhookUrl") or "",
        outcome=faults.code_of(outcome) or outcome,
        results=int(faults.number(marks, "results", sim.options.results)),
        price=sim.options.price_of(endpoint, kind_of(endpoint)),
        accepted_at=now,
        starts_at=now + seconds * sim.options.queued_share,
        ends_at=end_of(now, seconds, outcome),
    )
    sim.store.add(task)
    return task


def check_params(options: Options, endpoint: str, params: dict[str, Any]) -> None:
    """Raise Refused for an unknown endpoint, or for parameters that it does not take."""
    if not options.knows(endpoint):
        raise Refused("1001", endpoint)
    if not params:
        raise Refused("1007", "failed to parse request body")
    for name, kind in TYPES.items():
        if params.get(name) is not None and not isinstance(params[name], kind):
            raise Refused("1007", f"{name} must be of type {kind.__name__}")
    for name in REQUIRED.get(endpoint, ()) if options.strict else ():
        if not params.get(name):
            raise Refused("1007", f"{name} is required")


# --- the others ---


async def query(sim: Simulator, request: Request) -> Answer:
    sim.counts["queries"] += 1
    await asyncio.sleep(sim.options.query_latency)
    task_id = request.json().get("taskId")
    task = sim.store.task(task_id) if isinstance(task_id, str) else None
    what = sim.meet("query", task.marks, task.id) if task else sim.meet("query")
    if code := key_problem(request.key, ONLY_BAD):
        content = envelopes.refusal(code)
    elif not isinstance(task_id, str) or not task_id.isdecimal():
        detail = "failed to parse request body" if task_id else "taskId must not be null"
        content = envelopes.refusal("1007", detail)
    elif task is None or task.owner != owner_of(request.key):  # another key's tasks do not exist
        content = envelopes.not_found(task_id)
    else:
        content = envelopes.queried(task, time.time())
    if what == "early":
        content, what = content | {"results": None}, ""
    return sim.spoilt(as_json(content), what, envelopes.refusal)


async def upload(sim: Simulator, request: Request) -> Answer:
    sim.counts["uploads"] += 1
    await asyncio.sleep(sim.options.upload_latency)
    what = sim.meet("upload")
    part = file_part(request.headers.get(b"content-type", b""), request.body, b"file")
    extension = PurePosixPath(part.filename).suffix.lower() if part else ""
    if key_problem(request.key, ONLY_BAD):
        content = v2_refusal("401")
    elif part is None:
        content = envelopes.v2(None, "301", "PARAMS_INVALID: one part named file is expected")
    elif extension not in UPLOAD_TYPES:
        text = f"PARAMS_INVALID: file type {extension or 'without extension'} is not supported"
        content = envelopes.v2(None, "301", text)
    elif len(part.body) > sim.options.upload_max_bytes:
        content = v2_refusal("809")
    else:
        name = f"{hashlib.sha256(part.body).hexdigest()}{extension}"
        sim.store.keep(name, part.content_type, part.body)
        content = envelopes.v2(
            {
                "type": UPLOAD_TYPES[extension],
                "download_url": f"{request.base}/files/uploads/{name}",
                "fileName": f"openapi/{name}",
                "size": str(len(part.body)),
            }
        )
    return sim.spoilt(as_json(content), what, v2_refusal)


async def cancel(sim: Simulator, request: Request) -> Answer:
    await asyncio.sleep(sim.options.query_latency)
    body, what = request.json(), sim.meet("cancel")
    task_id = str(body.get("taskId", ""))
    if code := key_problem(str(body.get("apiKey") or request.key), {"bad": "802"}):
        return as_json(legacy_refusal(code))
    ended = sim.store.end(task_id, "cancel", time.time())
    exists = ended or sim.store.task(task_id)
    return sim.spoilt(as_json(envelopes.legacy(None) if exists else legacy_refusal("807")), what, legacy_refusal)


async def account_status(sim: Simulator, request: Request) -> Answer:
    await asyncio.sleep(sim.options.query_latency)
    key = str(request.json().get("apikey") or "")
    if code := key_problem(key, {"bad": "802"}) if key else "1601":
        content = legacy_refusal(code)
    else:
        now = time.time()
        balance = Decimal(sim.options.balance) - charged(sim, now)
        content = envelopes.legacy(
            {
                "remainCoins": "99999",
                "currentTaskCounts": str(sim.store.unfinished(owner_of(key), now)),
                "remainMoney": "0.00" if key.startswith("poor") else str(balance),
                "currency": sim.options.currency,
                "apiType": _key_type(key),
            }
        )
    return sim.spoilt(as_json(content), sim.meet("account"), legacy_refusal)


async def queue_status(sim: Simulator, request: Request) -> Answer:
    await asyncio.sleep(sim.options.query_latency)
    if key_problem(request.key, ONLY_BAD):
        content = v2_refusal("401")
    else:
        now, owner = time.time(), owner_of(request.key)
        total, queued = sim.store.unfinished(owner, now), sim.store.waiting(owner, now)
        content = envelopes.v2(
            {
                "apiKeyType": _key_type(request.key),
                "concurrentLimit": cap_of(sim, request.key),
                "runningCount": str(total - queued),
                "queuedCount": str(queued),
                "totalCurrentTasks": str(total),
                "instanceCount": None,
            }
        )
    return sim.spoilt(as_json(content), sim.meet("account"), v2_refusal)


async def price_preview(sim: Simulator, request: Request) -> Answer:
    await asyncio.sleep(sim.options.query_latency)
    endpoint = request.path.removeprefix("/openapi/v2/price-preview/")
    code = key_problem(request.key, {**ONLY_BAD, "consumer": "1014"}) or ("" if sim.options.knows(endpoint) else "1001")
    price = sim.options.price_of(endpoint, kind_of(endpoint))
    content = envelopes.price_refusal(code) if code else envelopes.price_preview(price, sim.options.currency)
    return sim.spoilt(as_json(content), sim.meet("price"), envelopes.price_refusal)


# --- shared ---


def key_problem(key: str, codes: dict[str, str]) -> str:
    """Return the code with which a key is refused, or "".  A missing key is a bad one."""
    if not key:
        return codes["bad"]
    return next((code for start, code in codes.items() if key.startswith(start)), "")


def owner_of(key: str) -> str:
    """Return a digest to store for a key: somebody may use a real one here by mistake."""
    return hashlib.blake2b(key.encode(), digest_size=6).hexdigest()


def cap_of(sim: Simulator, key: str) -> int:
    """Return how many unfinished tasks a key may have: the option, or what the key itself says."""
    match = KEY_CAP.match(key)
    return int(match[1]) if match else sim.options.cap


def _key_type(key: str) -> str:
    return "NORMAL" if key.startswith("consumer") else "SHARED"


def v2_refusal(code: str) -> envelopes.Json:
    return envelopes.v2(None, code)


def legacy_refusal(code: str) -> envelopes.Json:
    return envelopes.legacy(None, code)


def prompt_of(params: dict[str, Any]) -> str:
    """Return the prompt with characters replaced that UTF-8 cannot encode."""
    return str(params.get("prompt") or "").encode("utf-8", "replace").decode()


def charged(sim: Simulator, now: float) -> Decimal:
    return sum((Decimal(price) * times for price, times in sim.store.charges(now)), Decimal("0.00"))
