"""Tests that the links, settings, commands and messages in the documentation exist.

They read ``docs/``, the READMEs and ``deploy/``.
"""

from __future__ import annotations

import ast
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import polib
import pytest
from django.core.management import call_command, get_commands, load_command_class

from core import reasons
from core.api.openapi import error_words
from missions.models import ItemStatus, MissionStatus
from providers import encryption
from runninghub_batch.api import api
from tests.test_project import APPS, ROOT, names_read_by_settings

READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
USER_GUIDES = [ROOT / "docs/user-guide.md", ROOT / "docs/user-guide.zh-CN.md"]
API_GUIDE = ROOT / "docs/api.md"
OPERATOR_GUIDE = ROOT / "docs/operator-guide.md"
PAGES = [
    *READMES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "examples/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
# Upper case with an underscore, but no setting of this program.
OTHER_NAMES = {"TEST_DATABASE_URL"}
SHELLS = ("sh", "bash", "console")

each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(path: Path, *languages: str) -> list[str]:
    """Return the code blocks of a page in these languages."""
    matches = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for _indent, language, text in matches if language in languages]


def without_blocks(path: Path) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def lines_matching(path: Path, pattern: str) -> list[str]:
    return re.findall(pattern, path.read_text(), re.MULTILINE)


# --- Links ---


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes from a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)) for heading in headings)
    return {text.strip().lower().replace(" ", "-") for text in plain}


@each_page
def test_links_lead_to_files_and_headings(path):
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", without_blocks(path)):
        file, _, heading = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), target
        assert not heading or heading in anchors(page), target


@each_page
def test_contents_list_every_section(path):
    contents = re.search(r"(?:^- \[.+\]\(#.+\)\n){3,}", without_blocks(path), re.MULTILINE)
    if contents:
        sections = re.findall(r"^## (.+)$", without_blocks(path), re.MULTILINE)
        assert re.findall(r"\[(.+)\]", contents[0]) == sections


def test_every_page_and_picture_is_linked():
    contents = (ROOT / "docs/README.md").read_text()
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.name == "README.md" or f"({page.name})" in contents, page.name
    pages = "".join(path.read_text() for path in PAGES)
    for picture in (ROOT / "docs/images").iterdir():
        assert f"images/{picture.name})" in pages, picture.name


# --- Settings and files ---


@each_page
def test_settings_exist(path):
    names = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", path.read_text()))
    names |= {name for block in blocks(path, "ini") for name in re.findall(r"^ *([A-Z_]+)=", block, re.MULTILINE)}
    unknown = names - names_read_by_settings() - OTHER_NAMES
    constants = "".join(file.read_text() for app in APPS for file in (ROOT / app).rglob("*.py")) if unknown else ""
    assert {name for name in unknown if not re.search(rf"^{name} = ", constants, re.MULTILINE)} == set()


@each_page
def test_source_files_exist(path):
    for name in re.findall(rf"`((?:{'|'.join(APPS)}|tests|deploy|docs|examples)/[\w./*-]+)`", path.read_text()):
        assert list(ROOT.glob(name)), name


# --- Two languages ---


@cache
def translations() -> dict[str, str]:
    """Return the Chinese text of each English one."""
    entries = polib.pofile(ROOT / "runninghub_batch/locale/zh_Hans/LC_MESSAGES/django.po")
    return {entry.msgid: entry.msgstr for entry in entries}


def test_readmes_have_the_same_tables_and_parts():
    for pattern in (r"^\| `([A-Z][A-Z_]+)`[^|]*\|", r"^\| `([a-z_]+[^|`\\]*)", r"^(#+) "):
        english, chinese = (lines_matching(path, pattern) for path in READMES)
        assert english == chinese, pattern


def test_user_guides_have_the_same_parts():
    for pattern in (r"^#+ ", r"^\d\. ", r"^ *- \S", r"^\|", r"^!\["):
        english, chinese = (len(lines_matching(path, pattern)) for path in USER_GUIDES)
        assert english == chinese, pattern


def test_user_guides_explain_every_status():
    english, chinese = (lines_matching(path, r"^\| (\w+) +\|") for path in USER_GUIDES)
    statuses = [*ItemStatus.values, *MissionStatus.values]
    explained = [word for word in english if word in statuses]
    assert sorted(explained) == sorted(statuses)
    names = [translations()[status] for status in explained]
    assert [word for word in chinese if word in names] == names


def test_quotes_in_chinese_are_texts_of_the_program():
    for path in (READMES[1], USER_GUIDES[1]):
        assert set(re.findall("“([^”]+)”", path.read_text())) - set(translations().values()) == set(), path.name


def test_quotes_in_the_user_guide_are_texts_of_the_program():
    quotes = re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", USER_GUIDES[0].read_text())
    words = {"mission", "item"}  # emphasized where they are defined
    assert {" ".join(quote.split()) for quote in quotes} - words - set(translations()) == set()


# --- Commands ---


def commands_of(path: Path) -> Iterator[list[str]]:
    """Yield the arguments of every use of manage.py on a page, in blocks and in the text."""
    lines = "\n".join(blocks(path, *SHELLS)).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`([^`\n]*manage\.py [a-z][^`]*)`", without_blocks(path))
    for line in [*lines, *inline]:
        for use in re.findall(r"(?:manage\.py|^batch) ([a-z_]+[^|;&)`]*)", line):
            yield shlex.split(re.sub(r"\$\([^)]*\)?", "", use), comments=True)


@each_page
def test_commands_take_their_arguments(path):
    for words in commands_of(path):
        name, *arguments = [word for word in words if word != "…"]
        if words == ["version"]:  # answered by manage.py itself
            continue
        assert name in get_commands(), words
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        if arguments:  # without any, the page only names the command
            parser.parse_args(arguments)  # raises CommandError


@pytest.mark.django_db
def test_commands_of_the_operator_guide_run(settings):
    """Run them in their order. ``check`` asks the provider and has tests of its own."""
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    names = r"\.venv/bin/python manage\.py (provider_accounts|cleanup|reconcile_counts)\b"
    lines = [line.partition("#")[0] for line in "\n".join(blocks(OPERATOR_GUIDE, "sh")).splitlines()]
    output = io.StringIO()
    for words in [shlex.split(line)[2:] for line in lines if re.match(names, line)]:
        if "check" not in words:
            call_command(*words, stdout=output)
    assert output.getvalue().count("environment is paused:") == 2
    assert output.getvalue().count("environment is in use again.") == 2
    assert "There is nothing to delete." in output.getvalue()


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in PAGES:
        assert set(lines_matching(path, r"(?:`|^)make ([a-z-]+)")) - targets == set(), path.name


def test_commands_have_one_spelling():
    """A reader can paste each line of a block."""
    for path in PAGES:
        for line in "\n".join(blocks(path, *SHELLS)).splitlines():
            if line.startswith("compose exec"):  # in a container, whose Python is the one of the image
                continue
            assert line.count("manage.py") == line.count(".venv/bin/python manage.py"), (path.name, line)


# --- Deployment ---


def test_systemd_units_start_commands_that_exist():
    for unit in UNITS:
        [folder] = lines_matching(unit, r"^WorkingDirectory=(.+)$")
        [command] = lines_matching(unit, r"^ExecStart=(.+)$")
        python, script, name, *arguments = shlex.split(command)
        assert (python, script) == (f"{folder}/.venv/bin/python", "manage.py"), unit.name
        load_command_class(get_commands()[name], name).create_parser("", "").parse_args(arguments)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_accepts_the_units(tmp_path):
    units = [tmp_path / unit.name for unit in UNITS]
    for unit, copy in zip(UNITS, units, strict=True):  # their interpreter is elsewhere on this machine
        copy.write_text(unit.read_text().replace("/opt/runninghub-batch/.venv/bin/python", sys.executable))
    check = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    assert "runninghub" not in check.stderr, check.stderr


# --- Messages ---


@cache
def messages() -> list[str]:
    """Return every text of the program, with "…" in place of its parameters."""
    texts = {*translations(), *reasons.TEMPLATES.values()}
    for app in APPS:
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.add(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = [str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values]
                    texts.add("".join(parts))
    return [re.sub(r"%\(\w+\)[sd]|%[sd]", "…", text) for text in texts]


def quoted_messages() -> list[str]:
    """Return the messages of the program that the page about troubleshooting quotes."""
    page = ROOT / "docs/troubleshooting.md"
    rows, paragraphs = lines_matching(page, r"^\| `([^`]+[.…:])`"), lines_matching(page, r"^> (.+(?:\n> .+)*)$")
    messages = [" ".join(text.replace("\n> ", " ").split()) for text in [*rows, *paragraphs]]
    return [message for message in messages if not message.startswith("FATAL:")]  # of PostgreSQL


def is_message(text: str) -> bool:
    """Return True if the program has the text as a whole, or each of its sentences."""

    def has(part: str) -> bool:
        pattern = re.compile(".*".join(re.escape(piece) for piece in part.split("…")), re.DOTALL)
        return any(pattern.search(message) for message in messages())

    sentences = re.split(r"(?<=\.) (?=[A-Z])", text)
    return has(text) or (len(sentences) > 1 and all(has(sentence) for sentence in sentences))


def test_quoted_messages_are_messages_of_the_program():
    quotes = quoted_messages()
    assert len(quotes) > 25
    assert [quote for quote in quotes if len(quote.strip(" .…")) <= 8 or not is_message(quote)] == []
    assert not is_message("The moon could not be reached (…). Nothing was sent.")


# --- API ---


def test_every_word_of_an_error_is_explained():
    explained = re.findall(r"^\| \d+ \| `(\w+)` \|", API_GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(explained) == error_words()


def test_every_operation_is_in_the_table():
    documented = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, operations in api.get_openapi_schema()["paths"].items()
        for method in operations
    }
    rows = re.findall(r"^\| ([A-Z, ]+) \| (`/[^|]+`) \|", API_GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = {
        (method, path)
        for methods, paths in rows
        for method in methods.split(", ")
        for path in re.findall(r"`(.*?)`", paths)
    }
    assert listed == documented
