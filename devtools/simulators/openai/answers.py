"""The text of a simulated answer, and its objects on the wire."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

TEXT = """morning light falls on a quiet street where rain has stopped and a cat waits beside the door
of a small shop that sells maps of places nobody has seen yet"""
WORDS = TEXT.split()

# fault → (HTTP status, code, type, message)
ERRORS: dict[str, tuple[int, str | None, str, str]] = {
    "400": (400, None, "invalid_request_error", "We could not parse the JSON body of your request."),
    "401": (401, "invalid_api_key", "invalid_request_error", "Incorrect API key provided."),
    "403": (403, None, "permission_error", "You are not allowed to sample from this model."),
    "404": (404, "model_not_found", "invalid_request_error", "The model does not exist."),
    "429": (429, "rate_limit_exceeded", "requests", "Rate limit reached for requests."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "context": (
        400,
        "context_length_exceeded",
        "invalid_request_error",
        "This model's maximum context length is 8000.",
    ),
    "context_500": (500, None, "server_error", "Context size has been exceeded."),
    "503": (503, None, "server_error", "The engine is currently overloaded, please try again later."),
}


@dataclass(frozen=True, slots=True)
class Chat:
    """The parts of a request that the simulator reads."""

    model: str
    prompt: str
    images: int
    is_stream: bool
    has_usage: bool
    max_tokens: int | None
    schema: Json | None

    @classmethod
    def read(cls, body: Json) -> Chat:
        """Read a request. Raises ValueError with a sentence for one that is malformed."""
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(entry, dict) for entry in messages):
            raise ValueError("'messages' must be a list of messages.")
        texts, images = [], 0
        for message in messages:
            if message.get("role") not in ("system", "user", "assistant"):
                raise ValueError("'role' must be one of system, user, assistant.")
            content = message.get("content")
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            for part in parts:
                if part.get("type") == "image_url" and part["image_url"]["url"].startswith(("http", "data:image/")):
                    images += 1
                elif part.get("type") == "text" and isinstance(part.get("text"), str):
                    texts.append(part["text"])
                else:
                    raise ValueError("'content' must be a string or a list of text and image_url parts.")
        form = body.get("response_format") or {}
        return cls(
            model=str(body.get("model", "")),
            prompt="\n".join(texts),
            images=images,
            is_stream=body.get("stream") is True,
            has_usage=(body.get("stream_options") or {}).get("include_usage") is True,
            max_tokens=body.get("max_tokens"),
            schema=form["json_schema"]["schema"] if form.get("type") == "json_schema" else None,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer, as words, and how it ended."""

    id: str
    model: str
    words: list[str]
    finish_reason: str
    usage: Json

    def chunk(self, delta: Json, finish_reason: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage_chunk(self) -> Json:
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage}

    def whole(self) -> Json:
        message = {"role": "assistant", "content": "".join(self.words), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage}

    def _head(self, kind: str) -> Json:
        return {"id": self.id, "object": kind, "created": int(time.time()), "model": self.model}


def error(name: str) -> tuple[int, Json]:
    """Return status and body of a refusal: a name of ERRORS, or an HTTP status."""
    status, code, kind, message = ERRORS.get(name) or (int(name), None, "server_error", f"Simulated error {name}.")
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def write(chat: Chat, number: int, answer_words: int, fault: str) -> Reply:
    """Write the answer to a call: the same prompt gets the same text."""
    seed = int.from_bytes(hashlib.blake2b(chat.prompt.encode(), digest_size=4).digest())
    if chat.schema is not None and fault != "not_json":
        text = json.dumps(example(chat.schema, seed), ensure_ascii=False)
        words = [text[start : start + 12] for start in range(0, len(text), 12)]
    else:
        words = [f"{WORDS[(seed + place) % len(WORDS)]} " for place in range(answer_words)]
        words = [*([f"{chat.images} pictures: "] if chat.images else []), *words]
    finish_reason = "content_filter" if fault == "filter" else "stop"
    limit = 0 if fault == "empty" else len(words) // 2 if fault == "length" else chat.max_tokens
    if limit is not None and limit < len(words):
        words = words[:limit]
        finish_reason = "stop" if fault == "empty" else "length"
    prompt_tokens = len(chat.prompt.split()) + 85 * chat.images
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": len(words),
        "total_tokens": prompt_tokens + len(words),
    }
    return Reply(f"chatcmpl-sim{number:08d}", chat.model, words, finish_reason, usage)


def example(schema: Json, seed: int) -> Any:
    """Return a value that fits ``type``, ``enum``, ``properties`` and ``items`` of a schema."""
    if choices := schema.get("enum"):
        return choices[seed % len(choices)]
    match schema.get("type"):
        case "object":
            return {
                name: example(part, seed + place) for place, (name, part) in enumerate(schema["properties"].items())
            }
        case "array":
            return [example(schema.get("items", {}), seed + place) for place in range(schema.get("minItems", 2))]
        case "integer" | "number":
            return schema.get("minimum", seed % 10)
        case "boolean":
            return seed % 2 == 0
    return " ".join(WORDS[(seed + place) % len(WORDS)] for place in range(4))
