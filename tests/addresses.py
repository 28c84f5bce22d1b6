"""Every address of the URL conf, so that a new page is walked like the others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.urls import URLResolver, get_resolver
from django.utils.regex_helper import normalize


@dataclass(frozen=True)
class Address:
    """``template`` holds its parameters as ``%(name)s``."""

    template: str
    view: object

    def __str__(self) -> str:
        return re.sub(r"%\((\w+)\)s", r"<\1>", self.template)

    @property
    def names(self) -> set[str]:
        return set(re.findall(r"%\((\w+)\)s", self.template))

    def filled(self, places: Mapping[str, object]) -> str:
        """Return the address with a value for each parameter.  Raises KeyError for unknown ones."""
        missing = self.names - places.keys()
        assert not missing, f"{self}: add {missing} to the fixture `places`, with what the owner has there"
        return self.template % places


def addresses(*without: str) -> list[Address]:
    """Return all addresses, except those below the prefixes ``without``.

    The redirects of moved admin pages are left out, too: they accept any path.
    """
    return [
        address
        for address in _below(get_resolver(), "/")
        if not address.template.startswith(without) and "rest" not in address.names
    ]


def _below(resolver: URLResolver, before: str) -> Iterator[Address]:
    for entry in resolver.url_patterns:
        template = before + normalize(entry.pattern.regex.pattern)[0][0]
        if isinstance(entry, URLResolver):
            yield from _below(entry, template)
        else:
            yield Address(template, entry.callback)
