"""Every documented operation of the API, with a valid request."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from runninghub_batch.api import api

Schema = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """An operation.  ``path`` has its parameters in braces."""

    method: str
    path: str
    described: Schema = field(compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def is_public(self) -> bool:
        return not self.described["security"]

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parameters."""
        return [known["name"] for known in self.described["parameters"] if known["in"] == "path"]

    def request(self) -> dict[str, Any]:
        """Return the arguments of Django's test client: body and required query."""
        query = {
            known["name"]: sample(known["schema"])
            for known in self.described["parameters"]
            if known["in"] == "query" and known["required"]
        }
        arguments: dict[str, Any] = {"query_params": query} if query else {}
        content = self.described.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            arguments |= {"data": sample(content["application/json"]["schema"]), "content_type": "application/json"}
        elif "multipart/form-data" in content:
            form = content["multipart/form-data"]["schema"]
            file = rows_file if "mission" in form["properties"] else picture
            fields = {name: form["properties"][name] for name in form["required"]}
            arguments["data"] = {
                name: file() if field.get("items", field).get("format") == "binary" else sample(field)
                for name, field in fields.items()
            }
        return arguments


def documented() -> Schema:
    return api.get_openapi_schema(path_prefix="/api/v1/")


def operations() -> list[Operation]:
    return [
        Operation(method, path, described)
        for path, methods in documented()["paths"].items()
        for method, described in methods.items()
    ]


def sample(schema: Schema) -> Any:
    """Return a valid value of a schema: an example if there is one, else the smallest."""
    if "$ref" in schema:
        return sample(documented()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for known in ("const", "default", "example"):
        if known in schema:
            return schema[known]
    for several in ("examples", "enum"):
        if several in schema:
            return schema[several][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return sample(schema[union][0])
    return _least(schema)


def _least(schema: Schema) -> Any:
    match schema.get("type"):
        case "object":
            return {name: sample(schema["properties"][name]) for name in schema.get("required", [])}
        case "array":
            return [sample(schema["items"])] * schema.get("minItems", 0)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case _:
            return "x" * max(1, schema.get("minLength", 1))


def rows_file() -> io.BytesIO:
    """Return a file of prompts with a name, as a form sends it."""
    file = io.BytesIO(b"a whale\nan owl\n")
    file.name = "prompts.txt"
    return file


def picture() -> io.BytesIO:
    """Return a PNG file with a name, as a form sends it."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    file.seek(0)
    file.name = "picture.png"
    return file
