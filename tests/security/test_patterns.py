"""No regular expression of ours takes more than linear time on hostile texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.conf import settings

NOT_SERVED = {"benchmarks", "clients", "devtools", "tests"}
OURS = sorted({path.parent.name for path in settings.BASE_DIR.glob("*/__init__.py")} - NOT_SERVED)
CALLS = {"compile", "search", "match", "fullmatch", "split", "sub", "subn", "findall", "finditer"}
SEARCHES = {"search", "split", "sub", "subn", "findall", "finditer"}
LENGTH = 100_000
SEEDS = ["a", "0", " ", "-", ".", "/", ":", "\\", '"', "<", "\n", "%", "{", "_", "="]
SEEDS += ["\r\n", ", ", "a-", "0e", "a.", ": ", "\\u", "http://", "[a"]


@dataclass(frozen=True)
class Written:
    """A pattern in the source.  ``is_searched``: it is also matched inside a text."""

    place: str
    pattern: str | bytes
    is_searched: bool


def patterns() -> Iterator[Written]:
    """Yield every pattern that is a literal."""
    for folder in OURS:
        for path in sorted((settings.BASE_DIR / folder).rglob("*.py")):
            source = path.read_text()
            for node in ast.walk(ast.parse(source)):
                pattern = _pattern(node)
                if pattern is not None:
                    place = f"{path.relative_to(settings.BASE_DIR)}:{node.lineno}"  # type: ignore[attr-defined]
                    yield Written(place, pattern, _is_searched(node, source))


def _pattern(node: ast.AST) -> str | bytes | None:
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute)):
        return None
    is_call = node.func.attr in CALLS and isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
    value = getattr(node.args[0], "value", None)
    return value if is_call and isinstance(value, str | bytes) else None


def _is_searched(node: ast.AST, source: str) -> bool:
    """Return True if the pattern's name is used for searching, or used elsewhere."""
    method = node.func.attr  # type: ignore[attr-defined]
    if method != "compile":
        return method in SEARCHES
    line = source.splitlines()[node.lineno - 1]  # type: ignore[attr-defined]
    name = line.partition("=")[0].strip()
    used = set(re.findall(rf"\b{re.escape(name)}\.(\w+)", source))
    return not used or bool(used & SEARCHES)


FOUND = list(patterns())


def test_patterns_are_collected():
    assert len(FOUND) > 20


@pytest.mark.timeout(60)  # linear patterns take milliseconds, quadratic ones minutes
@pytest.mark.parametrize("written", FOUND, ids=[written.place for written in FOUND])
def test_patterns_are_linear(written: Written):
    pattern = written.pattern
    compiled = re.compile(pattern)
    own = set(re.findall(r"[^\\()\[\]{}*+?|^$]", pattern if isinstance(pattern, str) else pattern.decode("latin-1")))
    for seed in (*SEEDS, *sorted(own)):
        text = seed * (LENGTH // len(seed)) + "\0!"
        hostile: str | bytes = text if isinstance(pattern, str) else text.encode()
        compiled.match(hostile)  # type: ignore[arg-type]
        compiled.fullmatch(hostile)  # type: ignore[arg-type]
        if written.is_searched:
            compiled.search(hostile)  # type: ignore[arg-type]
