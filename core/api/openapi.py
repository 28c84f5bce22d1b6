"""The documented schema: django-ninja's, with envelope, errors and headers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from ninja.openapi.schema import OpenAPISchema

from core.api.errors import STANDARD
from core.api.idempotency import KEY_PATTERN

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
                        "description": "The path in the request, such as config.batch_input.3.prompt.",
                    },
                    "message": {"type": "string"},
                },
            },
        },
        "request_id": {"type": "string", "description": "The same as in the header X-Request-Id and in the log."},
    },
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "Makes a POST safe to repeat: the same key within 24 hours returns the first response without doing it again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": KEY_PATTERN},
}
UNSAFE = ("post", "put", "patch", "delete")


def complete(schema: OpenAPISchema) -> OpenAPISchema:
    """Put the envelope around every payload, and add the error responses of each operation."""
    schema["components"]["schemas"]["Error"] = ERROR
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json")
                if 200 <= int(status) < 300 and content:
                    content["schema"] = {
                        "type": "object",
                        "required": ["code", "data"],
                        "additionalProperties": False,
                        "properties": {"code": {"const": 0}, "data": content["schema"]},
                    }
                elif int(status) >= 400:
                    response.update(_error_response(int(status)) | response)
            if method == "post" and "security" in operation:
                operation["parameters"].append(IDEMPOTENCY_KEY)
            if method == "get":
                operation["responses"].setdefault(304, {"description": "Not modified since the ETag in If-None-Match."})
            for status in _error_statuses(path, method, operation):
                operation["responses"].setdefault(status, _error_response(status))
    return schema


def _error_statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    """Return the statuses with which an operation can fail."""
    has_body = "requestBody" in operation
    has_parameters = has_body or bool(operation.get("parameters"))
    applies = {
        400: True,
        401: "security" in operation,
        403: "security" in operation and method in UNSAFE,
        404: "{" in path,
        405: True,
        409: method in UNSAFE,
        413: has_body,
        415: has_body,
        422: has_parameters,
        429: "security" in operation,
        503: True,
    }
    return [status for status, is_possible in applies.items() if is_possible]


def _error_response(status: int) -> dict[str, Any]:
    return {
        "description": STANDARD[status][1] if status in STANDARD else HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
