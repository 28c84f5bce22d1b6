"""Formats of money, times and numbers, and the components of pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.paginator import Paginator
from django.template import Context, Template
from django.utils import timezone

from core.templatetags import ui
from core.ui import statuses
from missions.models import ItemStatus, MissionStatus, OutputStatus


def render(source: str, **context) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


@pytest.mark.parametrize(
    "amount, currency, written",
    [
        (Decimal(12), "CNY", "¥12.00"),
        (Decimal("0.05"), "CNY", "¥0.05"),
        (Decimal("0.003500"), "USD", "$0.0035"),
        (Decimal("1234567.8"), "CNY", "¥1,234,567.80"),
        (Decimal(5), "JPY", "5.00 JPY"),
        (Decimal("-0.0000001"), "CNY", "¥0.00"),
        (None, "CNY", "—"),
    ],
)
def test_money_format(amount, currency, written):
    assert ui.money(amount, currency) == written


@pytest.mark.parametrize(
    "seconds, written",
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599.7, "1 h 0 min"),
        (86_399.9, "1 d 0 h"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
        (None, "—"),
    ],
)
def test_duration_format(seconds, written):
    assert ui.duration(seconds) == written


@pytest.mark.parametrize(
    "age, written",
    [(5, "just now"), (60, "1 minute ago"), (3599, "59 minutes ago"), (7200, "2 hours ago"), (6 * 86400, "6 days ago")],
)
def test_ago_format(age, written):
    moment = timezone.now() - timedelta(seconds=age)
    assert f">{written}</time>" in ui.ago(moment)
    assert f'datetime="{moment.astimezone(UTC).isoformat(timespec="seconds")}"' in ui.ago(moment)


def test_distant_times_are_dates():
    assert ">2020-03-05</time>" in ui.ago(datetime(2020, 3, 5, 12, tzinfo=UTC))
    assert ">2200-03-05 " in ui.ago(datetime(2200, 3, 5, 12, tzinfo=UTC))


@pytest.mark.parametrize("kind, choices", [("item", ItemStatus), ("mission", MissionStatus), ("output", OutputStatus)])
def test_every_status_has_a_badge(kind, choices):
    for status in choices:
        made = render("{% status_badge status kind %}", status=status.value, kind=kind)
        label = "being fetched" if (kind, status) == ("output", "pending") else status.label
        assert label.capitalize() in made
        assert 'class="icon' in made


def test_status_bar_shows_every_count():
    counts = dict.fromkeys(ItemStatus.values, 0) | {"completed": 49_999, "failed": 1}
    made = render("{% status_bar counts %}", counts=counts)
    assert 'aria-label="49,999 completed, 1 failed"' in made
    assert "pending" not in made
    piece = next(piece for piece in ui.status_bar(counts)["pieces"] if piece["status"] == "failed")
    assert float(piece["width"]) >= 4, "one failure among thousands is to be seen"


def test_status_bar_has_every_item_status():
    assert set(statuses.bar_order("item")) == set(ItemStatus.values)


def test_empty_status_bar_is_labelled():
    assert 'aria-label="No items"' in render("{% status_bar counts %}", counts=dict.fromkeys(ItemStatus.values, 0))


def test_pagination_keeps_the_query(rf):
    page = Paginator(range(200), 50).page(2)
    made = render("{% pagination page %}", page=page, request=rf.get("/missions?status=failed&page=2&search=a+b"))
    assert 'href="?status=failed&amp;page=3&amp;search=a+b"' in made
    assert "51–100 of 200" in made
    only = Paginator(range(50), 50).page(1)
    assert "of 50" not in render("{% pagination page %}", page=only, request=rf.get("/missions"))


def test_components_escape_their_arguments():
    bad = "<script>alert(1)</script>"
    sources = [
        "{% page_header bad text=bad back_url='/' back_text=bad %}{{ bad }}{% endpage_header %}",
        "{% card title=bad text=bad id=bad %}{{ bad }}{% endcard %}",
        "{% empty_state bad text=bad %}{{ bad }}{% endempty_state %}",
        "{% notice 'error' title=bad %}{{ bad }}{% endnotice %}",
        "{% dialog bad bad %}{{ bad }}{% enddialog %}",
        "{% menu bad text=bad %}{{ bad }}{% endmenu %}",
        "{% thumbnail bad alt=bad href=bad mark=bad %}",
        "{% copy_button bad label=bad %}",
        "{% icon bad %}",
    ]
    for source in sources:
        made = render(source, bad=bad)
        assert "<script" not in made, source
        assert "&lt;script" in made, source
