"""The frame of every page in a real browser."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.browser.chromium import check_axe


@pytest.fixture
def operator(transactional_db):
    return User.objects.create_superuser("operator")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_component_can_be_used_by_everybody(open_page, operator, theme):
    for width in (1280, 360):
        page = open_page("/components", theme=theme, width=width, user=operator)
        check_axe(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
