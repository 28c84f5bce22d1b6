"""Show a number as a spreadsheet shows it: leading zeros, percent, dates, times.

The parts of Excel's number formats that people use: sections, quoted and escaped texts, digits,
thousands, percent, exponents, dates, times and elapsed time. A format that this module does not
understand shows the plain number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

GENERAL = "General"
# The formats that a workbook names by number only. Excel shows 14 and 22 as the computer's region
# demands; ISO dates are read alike everywhere.
BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 27: 'yyyy"年"m"月"', 28: 'm"月"d"日"', 29: 'm"月"d"日"', 30: "m-d-yy",
    31: 'yyyy"年"m"月"d"日"', 32: 'h"时"mm"分"', 33: 'h"时"mm"分"ss"秒"', 34: 'h"时"mm"分"', 35: 'h"时"mm"分"ss"秒"',
    36: 'yyyy"年"m"月"', 37: "#,##0 ;(#,##0)", 38: "#,##0 ;(#,##0)", 39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    50: 'yyyy"年"m"月"', 51: 'm"月"d"日"', 52: 'yyyy"年"m"月"', 53: 'm"月"d"日"', 54: 'm"月"d"日"',
    55: 'h"时"mm"分"', 56: 'h"时"mm"分"ss"秒"', 57: 'yyyy"年"m"月"', 58: 'm"月"d"日"',
}  # fmt: skip
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|[_*](?P<space>.)|\[(?P<elapsed>h+|m+|s+)\]|\[\$(?P<currency>[^\]-]*)[^\]]*\]'
    r"|\[(?P<ignored>[^\]]*)\]|(?P<noon>AM/PM|A/P|上午/下午)|(?P<date>y+|m+|d+|h+|s+(?:\.0+)?)"
    r"|(?P<general>General)|(?P<digits>[0#?](?:[0#?,]*[0#?])?,*(?:\.[0#?]+)?|\.[0#?]+)|(?P<exponent>E[+-]0+)"
    r"|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
Token = tuple[str, str]


def shown(number: str, code: str, *, is_1904: bool = False) -> str:
    """Return the text that a cell shows for a stored number, such as "00007", "50%" or "16:09".

    ``number`` is the number as the file spells it; ``code`` is the format, such as "00000".
    ``is_1904`` is the workbook's calendar. Never raises for a number.
    """
    value = Decimal(number)
    section, value = _section(code, value)
    tokens = _tokens(section)
    kinds = {kind for kind, _text in tokens}
    try:
        if kinds & {"date", "elapsed"}:
            return _date(tokens, float(value), is_1904=is_1904)
        if not kinds & {"digits"} or "/" in section.replace("AM/PM", ""):
            return plain(number) if kinds & {"general", "digits"} or section == "@" else _literals(tokens)
        return _number(tokens, value)
    except (ArithmeticError, ValueError):
        return plain(number)


def is_date(code: str) -> bool:
    """Return True if the format shows a date or a time."""
    return any(kind in ("date", "elapsed") for kind, _text in _tokens(code.split(";", 1)[0]))


def plain(number: str) -> str:
    """Return a number without a format: all digits of a whole one, else 15 significant digits."""
    value = Decimal(number)
    if value == value.to_integral_value():
        return f"{value:.0f}"
    return f"{Decimal(f'{float(value):.15g}'):f}"


def _section(code: str, value: Decimal) -> tuple[str, Decimal]:
    """Return the section of the format for this number, and the number to show in it."""
    sections = [""]
    for kind, text in _tokens(code):
        if (kind, text) == ("other", ";"):
            sections.append("")
        else:
            sections[-1] += text
    if value < 0 and len(sections) > 1:
        return sections[1], -value
    if value == 0 and len(sections) > 2:
        return sections[2], value
    return sections[0], value


@lru_cache(maxsize=512)
def _tokens(section: str) -> list[Token]:
    return [(match.lastgroup or "other", match[0]) for match in _TOKEN.finditer(section)]


def _literal(kind: str, text: str) -> str:
    """Return the text that a token shows by itself."""
    match kind:
        case "quoted":
            return text[1:-1]
        case "escaped":
            return text[1:]
        case "currency":
            return text[2:-1].partition("-")[0]
        case "space" | "ignored":
            return ""
    return text


def _literals(tokens: list[Token]) -> str:
    return "".join(_literal(kind, text) for kind, text in tokens).strip()


def _number(tokens: list[Token], value: Decimal) -> str:
    """Show a number in the first run of digits of a section; further runs take their digits."""
    patterns = [text for kind, text in tokens if kind == "digits"]
    has_exponent = any(kind == "exponent" for kind, _text in tokens)
    value *= Decimal(100) ** sum(text.count("%") for kind, text in tokens if kind == "other")
    whole_pattern = "".join(pattern.partition(".")[0] for pattern in patterns)
    places = sum(len(pattern.partition(".")[2]) for pattern in patterns)
    thousands = len(whole_pattern) - len(whole_pattern.rstrip(","))
    value = value.scaleb(-3 * thousands)
    if has_exponent:
        exponent = value.adjusted() if value else 0
        value = value.scaleb(-exponent)
    rounded = value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    sign = "-" if rounded < 0 else ""
    whole, _dot, fraction = f"{abs(rounded):f}".partition(".")
    optional = sum(1 for character in patterns[-1].partition(".")[2][::-1] if character == "#")
    while optional and fraction.endswith("0"):
        fraction, optional = fraction[:-1], optional - 1
    whole = whole.lstrip("0").rjust(whole_pattern.count("0"), "0")
    if "," in whole_pattern.rstrip(","):
        head = len(whole) % 3 or 3
        whole = ",".join([whole[:head], *(whole[place : place + 3] for place in range(head, len(whole), 3))])

    # "000-0000" spreads the digits over its runs, from the right.
    runs = [pattern.partition(".")[0].replace(",", "") for pattern in patterns]
    parts: list[str] = []
    if len(runs) > 1 and places == 0 and "," not in whole:
        rest = whole
        for run in reversed(runs[1:]):
            parts.insert(0, rest[-len(run) :] if run else "")
            rest = rest[: -len(run)] if run else rest
        parts.insert(0, rest)
    else:
        point = next((pattern for pattern in patterns if "." in pattern), "")
        parts = [whole + ("." + fraction if point and (fraction or "#" not in point) else "")]
    text = ""
    for kind, token in tokens:
        if kind == "digits":
            text += parts.pop(0) if parts else ""
        elif kind == "exponent":
            text += f"E{'-' if exponent < 0 else '+' if token[1] == '+' else ''}{abs(exponent):0{len(token) - 2}d}"
        else:
            text += _literal(kind, token)
    return (sign + text).strip()


def _date(tokens: list[Token], value: float, *, is_1904: bool) -> str:
    """Show a date, a time or a duration. Raises ValueError outside the calendar."""
    if value < 0 or value > 2_958_466:
        raise ValueError("outside the calendar")
    fractions = max(
        (len(text.partition(".")[2]) for kind, text in tokens if kind == "date" and text[0] in "sS"), default=0
    )
    unit = 10**fractions
    ticks = round(value * 86_400 * unit)
    seconds, part = divmod(ticks, unit)
    first = datetime(1904, 1, 1, tzinfo=UTC) if is_1904 else datetime(1899, 12, 30, tzinfo=UTC)
    base = first + timedelta(days=1) if not is_1904 and value < 60 else first  # 1900 has a 29th of February there
    moment = base + timedelta(seconds=seconds)
    is_halved = any(kind == "noon" for kind, _text in tokens)
    letters = [text.lower().strip("[]")[0] for kind, text in tokens if kind in ("date", "elapsed")]
    result = ""
    position = -1
    for kind, text in tokens:
        if kind not in ("date", "elapsed"):
            result += ("AM" if moment.hour < 12 else "PM") if kind == "noon" else _literal(kind, text)
            continue
        position += 1
        letter = letters[position]
        size = len(text.strip("[]").partition(".")[0])
        if kind == "elapsed":
            amount = seconds // {"h": 3600, "m": 60, "s": 1}[letter]
            result += f"{amount:0{size}d}"
            continue
        is_minute = letter == "m" and (
            (position > 0 and letters[position - 1] == "h") or letters[position + 1 : position + 2] == ["s"]
        )
        if letter == "y":
            result += f"{moment.year:04d}" if size > 2 else f"{moment.year % 100:02d}"
        elif letter == "m" and not is_minute:
            month = _MONTHS[moment.month - 1]
            result += month if size == 3 else moment.strftime("%B") if size > 3 else f"{moment.month:0{size}d}"
        elif letter == "d":
            result += (
                _DAYS[moment.weekday()]
                if size == 3
                else moment.strftime("%A")
                if size > 3
                else f"{moment.day:0{size}d}"
            )
        else:
            amount = {
                "h": moment.hour % 12 or 12 if is_halved else moment.hour,
                "m": moment.minute,
                "s": moment.second,
            }[letter]
            result += f"{amount:0{min(size, 2)}d}"
            if letter == "s" and fractions:
                result += f".{part:0{fractions}d}"
    return result.strip()
