"""Tests that settings, dependencies, commands and decisions agree with the code."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from django.core.management import get_commands
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = (ROOT / "runninghub_batch/settings.py").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
APPS: list[str] = PYPROJECT["tool"]["importlinter"]["root_packages"]
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
    """Return the pinned versions of a lock file by package."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / lock).read_text().splitlines())
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines if line)}


def test_example_file_lists_every_setting():
    names = re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(names_read_by_settings())


def test_readme_lists_every_setting():
    names = set(re.findall(r"^\| `([A-Z][A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))
    defaults = {name for name in names_read_by_settings() if name.startswith("DEFAULT_MODEL_")}
    assert names | defaults == names_read_by_settings()


def test_readme_lists_commands_that_exist():
    [table] = re.findall(r"\| `manage.py …` \|.*?\n\n", (ROOT / "README.md").read_text(), re.DOTALL)
    names = set(re.findall(r"^\| `([a-z_]+)", table, re.MULTILINE)) - {"manage"}
    assert len(names) > 3
    assert names <= set(get_commands())


def test_locks_hold_every_dependency():
    for lock, dependencies in LOCKS.items():
        versions = pins(lock)
        for text in dependencies:
            requirement = Requirement(text)
            version = versions.get(canonicalize_name(requirement.name), "")
            hint = f"{text}: {lock} has {version or 'nothing'}; run make lock"
            assert requirement.specifier.contains(version), hint


def test_locks_agree():
    runtime, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {name: development.get(name) for name in runtime} == runtime


def test_locks_name_no_index_and_no_folder():
    for lock in LOCKS:
        assert not re.search(r"://|^-|--(extra-)?index|--find-links", (ROOT / lock).read_text(), re.MULTILINE), lock


def test_decisions_that_the_code_names_exist():
    for path in [ROOT / "pyproject.toml", *(path for app in APPS for path in sorted((ROOT / app).rglob("*.py")))]:
        for name in re.findall(r"docs/decisions/[\w-]+\.md", path.read_text()):
            assert (ROOT / name).is_file(), f"{path.name} names {name}"


def test_make_lists_every_target():
    listing = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    [targets] = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [target for target in targets.split() if f"make {target} " not in listing] == []
