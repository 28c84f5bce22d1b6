"""What surrounds every request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.decorators import sync_and_async_middleware

from runninghub_batch import errors, request_ids

API = "/api/v1/"
SPELLINGS = {"/api/v1/api_missions": "/api/v1/missions"}


@sync_and_async_middleware
def frame(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Names the request, and puts the answers of the API into their form."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            _arrive(request)
            return _leave(request, await get_response(request))

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        _arrive(request)
        return _leave(request, get_response(request))

    return answer


def _arrive(request: HttpRequest) -> None:
    request_ids.begin(request.headers.get("X-Request-Id"))
    for other, ours in SPELLINGS.items():
        if request.path_info == other or request.path_info.startswith(other + "/"):
            request.path = request.path.replace(other, ours, 1)
            request.path_info = request.path_info.replace(other, ours, 1)


def _leave(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if request.path_info.startswith(API):
        if isinstance(response, HttpResponse):
            _in_form(response)
        response.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(response, ["Authorization", "Cookie"])
    response["X-Request-Id"] = request_ids.current()
    return response


def _in_form(response: HttpResponse) -> None:
    """Django's own error pages (no such address, no such method, a bad host) become the API's error body."""
    if response.status_code < 400 or response.get("Content-Type", "").startswith("application/json"):
        return
    told = errors.respond(errors.Failure(response.status_code if response.status_code in errors.STANDARD else 400))
    response.status_code = told.status_code
    response.content = told.content
    for name, value in told.items():
        response[name] = value
    response["Content-Length"] = str(len(told.content))
