"""Names of downloads fit into file systems and into every program's header parser."""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import unquote

import pytest

from core.http.file_names import content_disposition
from core.money import amount_text


@pytest.mark.parametrize(
    "name, header",
    [
        ("foxes.zip", 'attachment; filename="foxes.zip"'),
        ("狐狸_results.zip", "attachment; filename=\"results.zip\"; filename*=utf-8''%E7%8B%90%E7%8B%B8_results.zip"),
        ("Été 1.csv", "attachment; filename=\"Ete 1.csv\"; filename*=utf-8''%C3%89t%C3%A9%201.csv"),
        ('a"b\r\n.zip', "attachment; filename=\"a_b.zip\"; filename*=utf-8''a%22b.zip"),
        ("猫", "attachment; filename=\"download\"; filename*=utf-8''%E7%8C%AB"),
    ],
)
def test_header_has_a_plain_name(name: str, header: str) -> None:
    assert content_disposition(name) == header


@pytest.mark.parametrize("letter", ["x", "é", "狐", "🦊"])
def test_long_name_keeps_its_ending(letter: str) -> None:
    header = content_disposition(letter * 300 + ".zip")

    names = re.findall(r"filename\*?=(?:utf-8''|\")([^;\"]+)", header)
    assert all(len(unquote(name).encode()) <= 255 for name in names)
    assert all(name.endswith(".zip") for name in names)
    assert "�" not in unquote(header)


def test_sum_of_nothing_has_no_sign() -> None:
    assert [amount_text(Decimal(text)) for text in ("-0.000000", "-0.0000004", "0")] == ["0.00"] * 3
    assert amount_text(Decimal("-0.5")) == "-0.50"
