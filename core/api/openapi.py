"""The documented schema: what ninja knows of the operations, and what the frame adds to each."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from ninja.openapi.schema import OpenAPISchema

from core.api.errors import STANDARD
from core.api.idempotency import KEY_PATTERN

DESCRIPTION = """\
Create, watch, control and collect missions: batches of paid AI generations.

Every answer that succeeds is `{"code": 0, "data": …}`. Every other one carries its HTTP status and the body `Error`,
whose `error` is a stable word. Times are RFC 3339 in UTC; money is a decimal string with its currency beside.
"""
ERROR: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["code", "error", "message", "data", "errors", "request_id"],
    "additionalProperties": False,
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "error": {"type": "string", "description": "A stable word for programs."},
        "message": {"type": "string", "description": "A sentence for people."},
        "data": {"type": "null"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "additionalProperties": False,
                "properties": {
                    "field": {
                        "type": "string",
                        "description": "Where in the request, such as config.batch_input.3.prompt.",
                    },
                    "message": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string", "description": "Also in X-Request-Id, and in our log."},
    },
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "Names this request, so that repeating it within 24 hours gives the same answer and does nothing twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": KEY_PATTERN},
}
UNSAFE = ("post", "put", "patch", "delete")


def complete(schema: OpenAPISchema) -> OpenAPISchema:
    """Put the envelope around every payload, and add what an operation answers when it fails."""
    schema["components"]["schemas"]["Error"] = ERROR
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if 200 <= int(status) < 300:
                    _wrap(response)
                elif int(status) >= 400:
                    response.update(_error_response(int(status)) | response)
            if method == "post" and "security" in operation:
                operation["parameters"].append(IDEMPOTENCY_KEY)
            if method == "get":
                operation["responses"].setdefault(304, {"description": "Not changed since the ETag of If-None-Match."})
            for status in _failures(path, method, operation):
                operation["responses"].setdefault(status, _error_response(status))
    return schema


def _wrap(response: dict[str, Any]) -> None:
    json = response.get("content", {}).get("application/json")
    if json:
        json["schema"] = {
            "type": "object",
            "required": ["code", "data"],
            "additionalProperties": False,
            "properties": {"code": {"const": 0}, "data": json["schema"]},
        }


def _failures(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    """The statuses with which an operation can fail."""
    has_body = "requestBody" in operation
    takes_values = has_body or bool(operation.get("parameters"))
    applies = {
        400: True,
        401: "security" in operation,
        403: "security" in operation and method in UNSAFE,
        404: "{" in path,
        405: True,
        409: method in UNSAFE,
        413: has_body,
        415: has_body,
        422: takes_values,
        429: "security" in operation,
        503: True,
    }
    return [status for status, can_happen in applies.items() if can_happen]


def _error_response(status: int) -> dict[str, Any]:
    return {
        "description": STANDARD[status][1] if status in STANDARD else HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
