"""Hints before paying: texts that other tools would read as options, comments or markup.

This program sends every text as it is, so each of these is paid, often for nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from batch_input.columns import prompt_field
from batch_input.encodings import is_garbled
from batch_input.headings import CUSTOM_ID, known_headings
from batch_input.tables import TEXT_KEY
from core.reasons import Definition, Reason, define
from providers.catalog import Model

SHOWN_LENGTH = 60  # characters of an example
SHOWN_IDS = 5

OPTIONS = define(
    "hint_options",
    "Prompts with options of other tools, such as “%(example)s”: %(count)s. Options are not read here but sent as part "
    "of the prompt. Remove them, and use the settings or columns of a file instead.",
)
COMMENTS = define(
    "hint_comments",
    "Prompts that look like comments, such as “%(example)s”: %(count)s. Each is sent and charged as an item. Remove "
    "the ones that are not prompts.",
)
INFOTEXT = define(
    "hint_infotext",
    "Prompts that look like the parameters of another image, such as “%(example)s”: %(count)s. Each line is sent and "
    "charged as an item of its own. Keep only the prompts.",
)
MARKUP = define(
    "hint_markup",
    "Prompts with wildcards, variables, weights or LoRA names of other tools, such as “%(example)s”: %(count)s. They are not "
    "replaced here but sent as they are.",
)
JSON_TEXT = define(
    "hint_json",
    "Prompts that look like JSON, such as “%(example)s”: %(count)s. They are sent as they are. Import the file as "
    ".jsonl to use its fields.",
)
LIST_MARKS = define(
    "hint_list_marks",
    "Prompts that begin with a number or a bullet, such as “%(example)s”: %(count)s. The mark is sent as part of the "
    "prompt.",
)
TABLE_TEXT = define(
    "hint_table",
    "Prompts that look like rows of a table, such as “%(example)s”: %(count)s. They are sent as they are. Import them "
    "as a file with column names to use their columns.",
)
GARBLED = define(
    "hint_garbled",
    "Prompts with garbled characters, such as “%(example)s”: %(count)s. The texts were damaged before they came here: "
    "export them again as UTF-8, or paste them.",
)
WORDLESS = define(
    "hint_wordless",
    "Prompts without a word, such as “%(example)s”: %(count)s. Each is sent and charged as an item. Remove the ones that "
    "are not prompts.",
)
HTML = define(
    "hint_html",
    "Prompts with HTML, such as “%(example)s”: %(count)s. Its tags and codes are sent as they are.",
)
FORMULAS = define(
    "hint_formulas",
    "Prompts that look like formulas, such as “%(example)s”: %(count)s. They are not calculated here but sent as they "
    "are. Save the values of the cells.",
)
HEADING = define(
    "hint_heading",
    "The first prompt, “%(example)s”, may be a heading. It is sent and charged as an item. Remove it if it is not a prompt.",
)
REPEATED_IDS = define(
    "hint_repeated_ids",
    "custom_id is not unique: %(ids)s. Results of these items cannot be told apart by it.",
)
SHORTENED_IDS = define(
    "hint_shortened_ids",
    "custom_id has numbers that a spreadsheet has shortened: %(ids)s. Their last digits are lost. Format the column as "
    "text and enter the numbers again.",
)

_SHORTENED = re.compile(r"\d(?:[.,]\d+)?E\+\d{2,}")  # 8.97E+19
# In this order; a text counts for the first that fits. A pattern with marks may fit anywhere in a
# text that holds one of them, the others at its beginning: most texts are passed over quickly.
_KINDS: tuple[tuple[Definition, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        INFOTEXT,
        (),
        re.compile(r"(?i)((negative|positive)( prompt)?\s*[:：]|steps\s*[:：]\s*\d+\s*,|(反向|负面)提示词\s*[:：])"),
    ),
    (
        COMMENTS,
        (),
        re.compile(r"(#{1,6}\s|//|/\*|<!--|;;|--\s|REM\s|={3,}|-{3,}|\*{3,}|`{3}|#\S*[:：]?$)"),
    ),
    (WORDLESS, (), re.compile(r"(?i)\A([!-@\[-`{-~\s、。，！？：；…·—–“”‘’￥]+|true|false|wahr|falsch|vrai|faux)\Z")),
    (
        OPTIONS,
        ("--", "—", "–"),
        re.compile(
            r"(^|\s)(--[A-Za-z][\w-]*(\s|=|$)|[—–](ar|aspect|v|niji|no|s|stylize|style|c|chaos|q|seed|iw|tile|w|weird)\b)"
        ),
    ),
    (FORMULAS, (), re.compile(r"=\s*(\+|\$?[A-Z]{1,3}\$?\d+\b|[A-Z][A-Z0-9.]*\(|'?[\w ]+'?!)")),
    (JSON_TEXT, (), re.compile(r'(\{\s*["\']|\[\s*["\'{]|[\[\]{}],?\s*$|["\']\w+["\']\s*:)')),
    (
        MARKUP,
        ("<", "__", "{", "(", "BREAK", "$"),
        re.compile(
            r"<(lora|hypernet|lyco):[^>]{1,200}>|__[\w/-]{1,80}__|\{[^{}|]{0,200}\|[^{}]{0,200}\}"
            r"|\([^()]{1,200}:\d*\.?\d+\)|\bBREAK\b|\$\{?[A-Za-z_]\w*|\{\{?\s?[\w.]{1,80}\s?\}\}?"
        ),
    ),
    (
        HTML,
        ("&", "<"),
        re.compile(
            r"&(#\d{2,6}|#[xX][0-9A-Fa-f]{2,5}|[A-Za-z]{2,8}\d{0,2});"
            r"|</?(p|br|b|i|u|em|strong|span|div|li|ul|a|h\d)\b[^>]{0,200}>"
        ),
    ),
    (LIST_MARKS, (), re.compile(r"(\d{1,4}\s*[.)、．）]\s*\D|[-*•·]\s+)")),
    (TABLE_TEXT, ("\t", "|", "｜"), re.compile(r"\S\t+\S|\S\s?[|｜]\s?\S")),
)


def hints_of_rows(rows: Iterable[str | Mapping[str, Any]], model: Model) -> list[Reason]:
    """Return hints for the rows of a mission, with a count and an example each.

    A row is a prompt, or an object of parameters with an optional ``custom_id``.
    """
    field = prompt_field(model)
    texts: list[str] = []
    ids: Counter[str] = Counter()
    for row in rows:
        if isinstance(row, Mapping):
            text = row.get(field.name if field else TEXT_KEY)
            if row.get(CUSTOM_ID) not in (None, ""):
                ids[str(row[CUSTOM_ID]).strip()] += 1
        else:
            text = row if field is not None and field.name == model.batch_field else None
        if isinstance(text, str) and text:
            texts.append(text)

    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for text in map(str.lstrip, texts):
        if is_garbled(text):
            counts[GARBLED.code] += 1
            examples.setdefault(GARBLED.code, _example(text))
            continue
        for reason, marks, pattern in _KINDS:
            if marks and not any(mark in text for mark in marks):
                continue
            if found := pattern.search(text) if marks else pattern.match(text):
                start = max(found.start() - SHOWN_LENGTH // 2, 0)
                counts[reason.code] += 1
                examples.setdefault(reason.code, _example(text[start:] if found.end() > SHOWN_LENGTH else text))
                break
    hints = [
        reason(count=counts[reason.code], example=examples[reason.code])
        for reason in (GARBLED, *(reason for reason, _marks, _pattern in _KINDS))
        if counts[reason.code]
    ]
    if len(texts) > 1:
        first, mean_length = texts[0].strip(), sum(map(len, texts[1:])) / len(texts[1:])
        is_short = len(first) <= 24 and len(first.split()) <= 2 and not re.search(r"[.!?。！？,]$|[，、；]", first)
        separators = ",;|、，；｜" + (":" if all(":" in text for text in texts[1:SHOWN_IDS]) else "")
        is_list = len(first) <= 60 and bool(re.fullmatch(rf"\w+([{separators}]\w+)+", first))
        if is_list and re.search("[、，；｜]", first):  # so are most Chinese prompts
            is_list = known_headings(re.split(f"[{separators}]", first)) > 0
        if (
            is_list
            or (is_short and first.endswith((":", "：")))
            or (is_short and mean_length >= max(3 * len(first), 20))
        ):
            hints.append(HEADING(example=_example(first)))
    for reason, names in (
        (REPEATED_IDS, [name for name, count in ids.items() if count > 1]),
        (SHORTENED_IDS, [name for name in ids if _SHORTENED.fullmatch(name)]),
    ):
        if names:
            shown = ", ".join(names[:SHOWN_IDS])
            hints.append(reason(ids=f"{shown}, …" if len(names) > SHOWN_IDS else shown))
    return hints


def _example(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
