"""The files around the code say what the code does."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.core.management import get_commands
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (ROOT / "runninghub_batch" / "settings.py").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCKS = {
    "requirements.txt": PROJECT["dependencies"],
    "requirements-dev.txt": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"],
}


def names_read_by_settings() -> set[str]:
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z][A-Z_]+)"', SETTINGS))
    types = ("TEXT_TO_IMAGE", "IMAGE_TO_IMAGE", "TEXT_TO_VIDEO", "IMAGE_TO_VIDEO", "TEXT")
    assert "DEFAULT_MODEL_{task_type.upper()}" in SETTINGS
    return names | {f"DEFAULT_MODEL_{name}" for name in types}


def pins(lock: str) -> dict[str, str]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / lock).read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def test_every_setting_is_in_the_example_file_and_no_other():
    listed = re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == names_read_by_settings()


def test_every_setting_is_in_the_readme():
    named = set(re.findall(r"^\| `([A-Z][A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    others = {name for name in names_read_by_settings() if name.startswith("DEFAULT_MODEL_")}
    assert named | others == names_read_by_settings()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked_at_a_version_that_it_allows(lock):
    pinned = pins(lock)
    for text in LOCKS[lock]:
        requirement = Requirement(text)
        version = pinned.get(canonicalize_name(requirement.name), "")
        assert requirement.specifier.contains(version), f"{text}: {lock} has {version or 'nothing'}; run make lock"


def test_both_locks_agree():
    development = pins("requirements-dev.txt")
    assert {name: development.get(name) for name in pins("requirements.txt")} == pins("requirements.txt")


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_folder(lock):
    assert not re.search(r"://|^-|--(extra-)?index|--find-links", (ROOT / lock).read_text(), re.MULTILINE)


def test_every_command_of_the_readme_exists():
    table = re.search(r"\| `manage.py …` \|.*?\n\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert table
    named = set(re.findall(r"^\| `([a-z_]+)", table[0], re.MULTILINE)) - {"manage"}
    assert len(named) > 3
    assert named <= set(get_commands())


def test_decisions_that_the_code_names_exist():
    for path in sorted((ROOT / "missions").rglob("*.py")):
        for name in re.findall(r"docs/decisions/[\w-]+\.md", path.read_text()):
            assert (ROOT / name).is_file(), f"{path.name} names {name}"


def test_a_decision_has_its_four_parts():
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert decisions
    for path in decisions:
        text = path.read_text()
        parts = ("**Status:**", "## Context", "## Decision", "## Consequences")
        assert all(part in text for part in parts), path.name


def test_make_alone_lists_every_target():
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "demo", "serve", "test", "screenshots", "bench", "messages", "check", "lock", "format"):
        assert f"make {target} " in listed
