"""The counts of requests, and their sums over processes."""

from __future__ import annotations

import asyncio
from typing import Any

from core.http import web_metrics


def send_request(path: str, *events: dict[str, Any], counts: list[web_metrics.WebCounts] | None = None) -> None:
    """Let an application answer one request with ``events``; read the counts while it is open."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        for event in events:
            await send(event)
        if counts is not None:
            counts.append(web_metrics.read())

    async def send(event: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": path}
    asyncio.run(web_metrics.Metered(answer)(scope, None, send))


def start(status: int, content_type: str = "text/html") -> dict[str, Any]:
    headers = [(b"content-type", content_type.encode())]
    return {"type": "http.response.start", "status": status, "headers": headers}


def test_requests_are_counted_by_area_and_status():
    cases = [
        ("/api/v1/missions", 201, "api", "2xx"),
        ("/api/v1/health", 200, "probes", "2xx"),
        ("/admin/", 302, "admin", "3xx"),
        ("/missions/1", 404, "pages", "4xx"),
        ("/static/app.css", 304, "static", "3xx"),
        ("/hooks/runninghub/token", 503, "hooks", "5xx"),
        ("/media/key", 206, "files", "2xx"),
    ]
    for path, status, area, shown in cases:
        before = web_metrics.read()
        send_request(path, start(status))
        after = web_metrics.read()
        changed = {key: after.requests[key] - before.requests[key] for key in after.requests}
        assert {key: count for key, count in changed.items() if count} == {(area, shown): 1}, path
        assert sum(after.seconds[area]) - sum(before.seconds[area]) == 1
        assert after.seconds_sum[area] > before.seconds_sum[area]


def test_a_request_without_a_response_is_counted():
    before = web_metrics.read()
    send_request("/missions")
    after = web_metrics.read()
    assert after.requests["pages", "none"] == before.requests["pages", "none"] + 1
    assert after.seconds == before.seconds


def test_open_requests_and_streams_are_counted():
    before = web_metrics.read()
    for content_type, in_flight, streams in [("text/html", 1, 0), ("text/event-stream; charset=utf-8", 0, 1)]:
        counts: list[web_metrics.WebCounts] = []
        send_request("/api/v1/missions/1/events", start(200, content_type), counts=counts)
        assert counts[0].in_flight - before.in_flight == in_flight
        assert counts[0].streams - before.streams == streams
    after = web_metrics.read()
    assert (after.in_flight, after.streams) == (before.in_flight, before.streams)
