"""The documented schema: django-ninja's, with envelope, errors, headers and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from ninja.openapi.schema import REF_TEMPLATE, OpenAPISchema
from ninja.schema import NinjaGenerateJsonSchema
from pydantic import BaseModel

from core.api.errors import BAD_JSON, SESSION_WORDS, STANDARD
from core.api.idempotency import KEY_PATTERN
from core.errors import DomainError

ERROR: dict[str, Any] = {
    "title": "Error",
    "type": "object",
    "required": ["code", "error", "message", "data", "errors", "request_id"],
    "additionalProperties": False,
    "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "error": {"type": "string", "description": "A stable word for programs. New words may be added."},
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
_TEXT, _NUMBER = {"type": "string"}, {"type": "integer"}
HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {"description": "Names the request in the log.", "schema": _TEXT},
    "ETag": {"description": "Names this version. Send it as If-None-Match or If-Range.", "schema": _TEXT},
    "Location": {"description": "The path of what was created.", "schema": _TEXT},
    "Idempotent-Replayed": {
        "description": "true: a copy of the first response to this Idempotency-Key.",
        "schema": {"const": "true", "type": "string"},
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": _NUMBER},
    "RateLimit-Limit": {"description": "Requests that are allowed in a minute.", "schema": _NUMBER},
    "RateLimit-Remaining": {"description": "Requests that are left.", "schema": _NUMBER},
    "RateLimit-Reset": {"description": "Seconds until a used request is free again.", "schema": _NUMBER},
    "WWW-Authenticate": {"description": "Bearer", "schema": _TEXT},
    "Allow": {"description": "The methods that the address has.", "schema": _TEXT},
    "Accept-Ranges": {"description": "bytes", "schema": _TEXT},
    "Content-Range": {"description": "The part that is sent, and the length of the whole.", "schema": _TEXT},
}
RATE_LIMIT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
PARAMETERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {
        "description": "Makes a POST safe to repeat: within 24 hours the same key returns the first response and does nothing.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": KEY_PATTERN},
    },
    "If-None-Match": {"description": "The ETag of a version that you have: 304 if it is current.", "schema": _TEXT},
    "Range": {"description": "bytes=FIRST-LAST, with one of both if you like.", "schema": _TEXT},
    "If-Range": {"description": "The ETag of the version that Range continues.", "schema": _TEXT},
}
UNREADABLE = (
    "The request cannot be read, or holds what no database stores: NUL characters, lone surrogates, infinite numbers."
)
UNSAFE = ("post", "put", "patch", "delete")
JSON = "application/json"


def without_defaults(schema: dict[str, Any]) -> None:
    """Remove the defaults of a body's fields (pydantic's ``json_schema_extra``).

    An absent field stays unchanged, but a generated client would send the default.
    """
    for described in schema["properties"].values():
        described.pop("default", None)


def header_refs(*names: str) -> dict[str, dict[str, str]]:
    """Return the description of response headers, of those in HEADERS."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def refusals(**rules: str) -> dict[int, Any]:
    """Return the documented response of an operation that refuses values which its schema allows.

    ``rules`` say of each field when it is refused. The rule of an object holds for its fields, too.
    """
    lines = "".join(f"\n- `{name}`: {rule}" for name, rule in rules.items())
    return {422: {"description": f"{STANDARD[422][1]} Beside the schema there are these rules:\n{lines}"}}


def file_extra(description: str, *types: str, is_ranged: bool) -> dict[str, Any]:
    """Return the ``openapi_extra`` of an operation that sends a file of one of ``types``.

    Generators that know few types take the first one, ``application/octet-stream``.  ``is_ranged``:
    it has an ETag, and parts can be requested.
    """
    binary, text = {"type": "string", "format": "binary"}, {"type": "string"}
    kinds = ("application/octet-stream", *types)
    content = {kind: {"schema": text if kind.startswith("text/") else binary} for kind in kinds}
    whole: dict[str, Any] = {"description": description, "content": content}
    if not is_ranged:
        return {"responses": {200: whole}}
    part = {**whole, "description": "The requested part.", "headers": header_refs("ETag", "Content-Range")}
    return {
        "parameters": [_parameter(name) for name in ("If-None-Match", "Range", "If-Range")],
        "responses": {
            200: {**whole, "headers": header_refs("ETag", "Accept-Ranges")},
            206: part,
            304: {"description": HTTPStatus(304).phrase, "headers": header_refs("ETag")},
            416: {"headers": header_refs("Content-Range")},
        },
    }


def complete(schema: OpenAPISchema) -> OpenAPISchema:
    """Put the envelope around every payload, and add errors, headers and parameters.

    A pydantic model anywhere in an operation's ``openapi_extra`` becomes a reference to its schema.
    """
    components = schema["components"]
    components["schemas"]["Error"] = ERROR | {
        "properties": ERROR["properties"] | {"error": ERROR["properties"]["error"] | {"enum": error_words()}}
    }
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            is_public = not operation.get("security")
            operation.setdefault("security", [])
            responses = operation["responses"]
            for status, response in responses.items():
                content = response.get("content", {}).get(JSON)
                if 200 <= int(status) < 300 and content:
                    content["schema"] = {
                        "type": "object",
                        "required": ["code", "data"],
                        "additionalProperties": False,
                        "properties": {"code": {"const": 0}, "data": content["schema"]},
                    }
                elif int(status) >= 400:
                    response.update(_error_response(int(status)) | response)
            for body in operation.get("requestBody", {}).get("content", {}).values():
                _remove_null(body)
                for described in body["schema"].get("properties", {}).values():
                    _remove_null({"schema": described})
            if method == "post" and not is_public:
                operation["parameters"].append(_parameter("Idempotency-Key"))
            if method == "get" and JSON in responses.get(200, {}).get("content", {}):
                responses.setdefault(304, {"description": HTTPStatus(304).phrase})
                responses[200]["headers"] = header_refs("ETag")
                operation["parameters"].append(_parameter("If-None-Match"))
            for status in _error_statuses(path, method, operation):
                responses.setdefault(status, _error_response(status))
            for status, response in responses.items():
                names = _header_names(int(status), method, is_public=is_public)
                response["headers"] = header_refs(*names) | response.get("headers", {})
    _refer_to_models(schema["paths"], components["schemas"])
    _remove_unused(schema)
    used = {name for kind, name in _references(schema["paths"]) if kind == "headers"}
    components["headers"] = {name: header for name, header in HEADERS.items() if name in used}
    return schema


def _remove_null(holder: dict[str, Any]) -> None:
    """Take null out of a schema: a body, or a field of a form, may be absent but not null."""
    variants = holder["schema"].get("anyOf", [])
    if {"type": "null"} in variants:
        variants.remove({"type": "null"})
        holder["schema"].pop("default", None)


def _parameter(name: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": False, **PARAMETERS[name]}


def error_words() -> list[str]:
    """Return every word that ``error`` can be."""

    def words(kind: type[DomainError]) -> Iterable[str]:
        yield kind.error
        for below in kind.__subclasses__():
            yield from words(below)

    return sorted(
        {BAD_JSON, *SESSION_WORDS, *(word for word, _message in STANDARD.values()), *filter(None, words(DomainError))}
    )


def _error_statuses(path: str, method: str, operation: dict[str, Any]) -> list[int]:
    """Return the statuses with which an operation can fail."""
    has_body = "requestBody" in operation
    has_parameters = has_body or bool(operation.get("parameters"))
    is_public = not operation["security"]
    applies = {
        400: True,
        401: not is_public,
        403: not is_public and method in UNSAFE,
        404: "{" in path,
        405: True,
        409: method in UNSAFE,
        413: has_body,
        415: True,
        422: has_parameters or not is_public,
        429: not is_public,
        503: True,
        507: method in UNSAFE,
    }
    return [status for status, is_possible in applies.items() if is_possible]


def _error_response(status: int) -> dict[str, Any]:
    descriptions = {code: message for code, (_word, message) in STANDARD.items()} | {400: UNREADABLE}
    return {
        "description": descriptions.get(status, HTTPStatus(status).phrase),
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _header_names(status: int, method: str, *, is_public: bool) -> list[str]:
    """Return the headers that a response of this status has, or may have."""
    applies = {
        ("X-Request-Id",): True,
        ("ETag",): status == 304,
        ("Idempotent-Replayed",): method == "post" and status < 300 and not is_public,
        ("Retry-After",): status in (409, 429, 503),
        ("WWW-Authenticate",): status == 401,
        ("Allow",): status == 405,
        RATE_LIMIT: not is_public and status not in (400, 401, 403, 413, 415),
    }
    return [name for names, has in applies.items() if has for name in names]


def _refer_to_models(node: Any, schemas: dict[str, Any]) -> None:
    """Replace each model inside ``node`` by a reference, and add its schema to ``schemas``."""
    entries = list(node.items() if isinstance(node, dict) else enumerate(node))
    for key, value in entries:
        if isinstance(value, type) and issubclass(value, BaseModel):
            described = value.model_json_schema(
                ref_template=REF_TEMPLATE, schema_generator=NinjaGenerateJsonSchema, mode="serialization"
            )
            schemas.update(described.pop("$defs", {}))
            schemas[value.__name__] = described
            node[key] = {"$ref": REF_TEMPLATE.format(model=value.__name__)}
        elif isinstance(value, dict | list):
            _refer_to_models(value, schemas)


def _references(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the kind and the name of each component that ``node`` refers to."""
    if isinstance(node, list):
        for value in node:
            yield from _references(value)
    elif isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str):
            _root, _components, kind, name = reference.split("/")
            yield kind, name
        for value in node.values():
            yield from _references(value)


def _remove_unused(schema: OpenAPISchema) -> None:
    """Remove the schemas to which nothing refers, such as those of whole queries."""
    schemas = schema["components"]["schemas"]
    used: set[str] = set()
    found = {name for kind, name in _references(schema["paths"]) if kind == "schemas"}
    while found:
        used |= found
        found = {name for known in found for _kind, name in _references(schemas[known])} - used
    schema["components"]["schemas"] = {name: described for name, described in schemas.items() if name in used}
