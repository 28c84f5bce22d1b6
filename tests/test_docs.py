"""What ``docs/`` and the READMEs tell people is so: messages, names, commands, links, files."""

from __future__ import annotations

import ast
import io
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import polib
import pytest
from django.core.management import call_command, get_commands, load_command_class

from missions.models import ItemStatus, MissionStatus
from providers import encryption
from tests.test_project import names_read_by_settings

ROOT = Path(__file__).resolve().parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
USER_GUIDES = [ROOT / "docs" / "user-guide.md", ROOT / "docs" / "user-guide.zh-CN.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPERATOR_GUIDE = ROOT / "docs" / "operator-guide.md"
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
# Upper case with an underscore, and no setting of ours.
OTHER_NAMES = {"TEST_DATABASE_URL", "FORWARDED_ALLOW_IPS"}
SHELLS = ("sh", "bash", "console")
OURS = (
    "accounts",
    "billing",
    "core",
    "devtools",
    "drafts",
    "events",
    "media",
    "missions",
    "operations",
    "providers",
    "runninghub_batch",
    "templates_app",
    "workers",
)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path, *languages: str) -> list[str]:
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for _indent, language, text in found if language in languages]


def without_blocks(path: Path) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


# --- Links ---


def anchors(path: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)) for heading in headings)
    return {text.strip().lower().replace(" ", "-") for text in plain}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings_that_exist(path):
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", without_blocks(path)):
        file, _, heading = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), target
        assert not heading or heading in anchors(page), target


def test_every_page_and_picture_is_reached_from_the_table_of_contents():
    contents = (ROOT / "docs" / "README.md").read_text()
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.name == "README.md" or f"({page.name})" in contents, page.name
    pages = "".join(path.read_text() for path in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name})" in pages, picture.name
        assert picture.stat().st_size < 150_000, picture.name


# --- Names ---


def test_both_readmes_have_all_settings_and_are_built_alike():
    english, chinese = (path.read_text() for path in READMES)
    setting = re.compile(r"^\| `([A-Z][A-Z_]+)`[^|]*\|", re.MULTILINE)
    assert sorted(setting.findall(english)) == sorted(setting.findall(chinese))
    levels = re.compile(r"^(#+) ", re.MULTILINE)
    assert levels.findall(english) == levels.findall(chinese)
    command = re.compile(r"^\| `([a-z_]+[^|`\\]*)", re.MULTILINE)
    assert sorted(command.findall(english)) == sorted(command.findall(chinese))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_settings_that_pages_name_exist(path):
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", path.read_text()))
    named |= {name for block in blocks(path, "ini") for name in re.findall(r"^ *([A-Z_]+)=", block, re.MULTILINE)}
    known = names_read_by_settings() | OTHER_NAMES
    in_source = "".join(file.read_text() for app in OURS for file in (ROOT / app).rglob("*.py"))
    assert {name for name in named - known if not re.search(rf"^{name} = ", in_source, re.MULTILINE)} == set()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_files_that_pages_name_exist(path):
    named = re.findall(rf"`((?:{'|'.join(OURS)}|tests|deploy|docs|examples)/[\w./*-]+)`", path.read_text())
    for name in named:
        assert list(ROOT.glob(name)), name


# --- Chinese ---


@cache
def translations() -> dict[str, str]:
    """Into Chinese, of every text that is marked for it."""
    entries = polib.pofile(ROOT / "runninghub_batch/locale/zh_Hans/LC_MESSAGES/django.po")
    return {entry.msgid: entry.msgstr for entry in entries}


@pytest.mark.parametrize("path", [READMES[1], USER_GUIDES[1]], ids=name_of)
def test_what_a_chinese_page_quotes_is_what_the_program_says(path):
    assert set(re.findall("“([^”]+)”", path.read_text())) <= set(translations().values())


def test_both_user_guides_are_built_alike():
    english, chinese = (path.read_text() for path in USER_GUIDES)
    for part in (r"^#+ ", r"^\d\. ", r"^ *- \S", r"^\|", r"^!\["):
        assert len(re.findall(part, english, re.MULTILINE)) == len(re.findall(part, chinese, re.MULTILINE)), part


def test_both_user_guides_explain_every_status():
    statuses = [*ItemStatus.values, *MissionStatus.values]
    english, chinese = (re.findall(r"^\| (\w+) \|", path.read_text(), re.MULTILINE) for path in USER_GUIDES)
    explained = [word for word in english if word in statuses]
    assert sorted(explained) == sorted(statuses)
    names = [translations()[status] for status in explained]
    assert [word for word in chinese if word in names] == names


# --- Commands ---


def commands_of(path: Path) -> Iterator[list[str]]:
    """Every use of manage.py on a page, in blocks and in the text, as its arguments."""
    lines = "\n".join(blocks(path, *SHELLS)).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`([^`\n]*manage\.py [a-z][^`]*)`", without_blocks(path))
    for line in [*lines, *inline]:
        for use in re.findall(r"(?:manage\.py|^batch) ([a-z_]+[^|;&)`]*)", line):
            yield shlex.split(use, comments=True)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_take_what_pages_give_them(path):
    for words in commands_of(path):
        name, *arguments = [word for word in words if word != "…"]
        if words == ["version"]:  # manage.py answers that itself
            continue
        assert name in get_commands(), words
        command = load_command_class(get_commands()[name], name)
        parser = command.create_parser("manage.py", name)
        if arguments:  # alone it is only named
            parser.parse_args(arguments)  # a CommandError says what is wrong


@pytest.mark.django_db
def test_the_commands_of_the_operator_guide_run_in_their_order(settings):
    """Those that ask the provider are run by tests of their own."""
    settings.ENCRYPTION_KEYS = [encryption.new_key()]
    lines = [line.partition("#")[0] for line in "\n".join(blocks(OPERATOR_GUIDE, "sh")).splitlines()]
    uses = [
        shlex.split(line)[1:]
        for line in lines
        if re.match(r"manage\.py (provider_accounts|cleanup|reconcile_counts)\b", line)
    ]
    told = io.StringIO()
    for words in uses:
        if "check" not in words:
            call_command(*words, stdout=told)
    assert told.getvalue().count("environment is paused:") == 2
    assert told.getvalue().count("environment is in use again.") == 2
    assert "deleted." in told.getvalue()


def test_make_targets_that_pages_name_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in PAGES:
        named = set(re.findall(r"(?:`|^)make ([a-z-]+)", path.read_text(), re.MULTILINE))
        assert named <= targets, name_of(path)


def test_the_copy_of_a_running_database_is_whole(tmp_path):
    line = next(
        line
        for block in blocks(ROOT / "docs/operator-guide.md", "sh")
        for line in block.splitlines()
        if "VACUUM" in line
    )
    source, copy = tmp_path / "db.sqlite3", tmp_path / "copy.sqlite3"
    writer = sqlite3.connect(source)
    writer.executescript("PRAGMA journal_mode=WAL; CREATE TABLE item (name TEXT); INSERT INTO item VALUES ('kept');")
    writer.execute("INSERT INTO item VALUES ('not committed')")
    words = [sys.executable, *shlex.split(line)[1:-2], str(source), str(copy)]
    subprocess.run(words, check=True, timeout=60)
    assert sqlite3.connect(copy).execute("SELECT name FROM item").fetchall() == [("kept",)]


# --- Deployment ---


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_what_there_is(unit):
    text = unit.read_text()
    folder = re.search(r"^WorkingDirectory=(.+)$", text, re.MULTILINE)
    command = re.search(r"^ExecStart=(.+)$", text, re.MULTILINE)
    assert folder
    assert command
    python, *arguments = shlex.split(command[1])
    assert python == f"{folder[1]}/.venv/bin/python"
    if arguments[0] == "manage.py":
        load_command_class(get_commands()[arguments[1]], arguments[1]).create_parser("", "").parse_args(arguments[2:])
    else:
        procfile = (ROOT / "Procfile").read_text().splitlines()[0]
        started = shlex.split(procfile.partition("exec ")[2].replace('"$HOST"', "127.0.0.1").replace('"$PORT"', "8000"))
        assert arguments == started[1:], "web is started as `make serve` starts it"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_systemd_understands_the_units(tmp_path):
    for unit in UNITS:  # their interpreter is not at its place here
        (tmp_path / unit.name).write_text(
            re.sub(r"/opt/runninghub-batch/\.venv/bin/python", sys.executable, unit.read_text())
        )
    units = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60)
    assert "runninghub" not in done.stderr, done.stderr


# --- Messages ---


@cache
def texts() -> list[str]:
    """Every text of the source; what is filled in is a "…"."""
    found = set(translations())
    for app in OURS:
        for path in (ROOT / app).rglob("*.py"):
            found |= set(_texts_of(ast.parse(path.read_text())))
    return [re.sub(r"%\(\w+\)[sd]|%[sd]", "…", text) for text in found]


def _texts_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


def quoted() -> list[str]:
    page = (ROOT / "docs/troubleshooting.md").read_text()
    rows = re.findall(r"^\| `([^`]+[.…]| [^`]+ )` \|", page, re.MULTILINE)
    alone = re.findall(r"^> (.+)$", page, re.MULTILINE)
    return [message for message in [*rows, *alone] if not message.startswith("FATAL:")]  # PostgreSQL's


def is_said(message: str) -> bool:
    """Whether the source has it, whole or in its sentences."""
    parts = [message, *(re.split(r"(?<=\.) (?=[A-Z])", message))]
    said = [any(_as_pattern(part).search(text) for text in texts()) for part in parts]
    return said[0] or all(said[1:])


@cache
def _as_pattern(message: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in message.split("…")), re.DOTALL)


@pytest.mark.parametrize("message", quoted())
def test_a_message_of_the_troubleshooting_page_is_one_of_the_program(message):
    assert len(message.replace("…", "").strip(" .")) > 8, "too short to say anything"
    assert is_said(message)


def test_a_message_that_nobody_says_is_noticed():
    assert len(quoted()) > 25
    assert not is_said("The moon could not be reached (…). Nothing was sent.")
