"""``deploy/install``: its options, and an installation in a Debian system made for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
INSTALL = ROOT / "deploy" / "install"
HOME = "/opt/runninghub-batch"
PIP_FILES = ("etc/pip.conf", "etc/xdg/pip", "etc/resolv.conf")  # how packages are found from here


def test_wrong_options_are_refused_before_any_change():
    cases = [
        (["--colour"], 2, "Unknown option: --colour"),
        (["--url"], 2, "--url needs a value"),
        (["--url", "batch.example.com"], 2, "--url must begin with"),
        (["--data", "var"], 2, "--data must be an absolute path"),
        (["--python", "python0"], 1, "python0 was not found"),
        (["--help"], 0, ""),
    ]
    for options, code, message in cases:
        done = subprocess.run([INSTALL, *options], capture_output=True, text=True)
        assert (done.returncode, message in done.stderr) == (code, True), (options, done.stderr)
    assert "Usage: deploy/install" in done.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_what_the_user_cannot_use_is_refused_before_any_change(tmp_path):
    """A folder below /root, such as pytest's, is closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        public = Path(name)
        public.chmod(0o755)
        for folder in (public, tmp_path):
            (folder / "deploy").mkdir()
            shutil.copy2(INSTALL, folder / "deploy/install")
            (folder / "manage.py").touch()
            # A script that says where its program is, like pyenv's, and finds nothing missing.
            python = folder / "python"
            python.write_text(f"#!/bin/sh\necho {folder}/program\n")
            python.chmod(0o755)
            shutil.copy2("/bin/true", folder / "program")
        cases = [
            (public, tmp_path, f"cannot run {tmp_path}/program. Name another one: --python"),
            (tmp_path, public, f"cannot read {tmp_path}. Move the checkout"),
        ]
        tmp_path.chmod(0o700)
        for home, interpreter, message in cases:
            command = [home / "deploy/install", "--user", "nobody", "--python", interpreter / "python"]
            done = subprocess.run(command, capture_output=True, text=True)
            assert (done.returncode, message in done.stderr) == (1, True), done.stderr
            assert not (home / ".venv").exists()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a minimal Debian system with Python and a copy of the checkout."""
    if os.getuid() != 0 or not shutil.which("debootstrap"):
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs root and debootstrap (apt install debootstrap)")
    root = tmp_path_factory.mktemp("debian") / "root"
    packages = "--include=ca-certificates,python3-venv"
    subprocess.run(["debootstrap", "--variant=minbase", packages, "bookworm", root], check=True, capture_output=True)
    for name in PIP_FILES:
        if (source := Path("/", name)).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-aL", "-T", source, root / name], check=True)
    certificates = Path("etc/ssl/certs/ca-certificates.crt")
    shutil.copyfile(Path("/") / certificates, root / certificates)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    (root / HOME.lstrip("/")).mkdir(parents=True)
    for name in filter(None, names.decode().split("\0")):
        target = root / HOME.lstrip("/") / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, target)
    yield root
    shutil.rmtree(root)


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_installation_in_a_clean_system(system):
    def run(*command: str) -> str:
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        done = subprocess.run(["chroot", system, *command], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def as_user(command: str) -> str:
        return run("setpriv", "--reuid=batch", "--regid=batch", "--init-groups", "sh", "-c", f"cd {HOME}; {command}")

    assert "Installed in /opt/runninghub-batch" in run(f"{HOME}/deploy/install", "--url", "https://batch.example.com")
    env = system / HOME.lstrip("/") / ".env"
    text = env.read_text()
    assert "\nPUBLIC_BASE_URL=https://batch.example.com\n" in text
    assert "\nDATA_DIR=/var/lib/runninghub-batch\n" in text
    assert env.stat().st_mode & 0o777 == 0o640
    data = system / "var/lib/runninghub-batch"
    assert data.stat().st_mode & 0o777 == 0o750
    assert data.stat().st_uid == (data / "db.sqlite3").stat().st_uid != 0
    as_user(".venv/bin/python manage.py check --deploy --fail-level WARNING")
    assert "nothing to delete" in as_user(".venv/bin/python manage.py cleanup")
    run(f"{HOME}/deploy/install", "--url", "https://other.example.com")  # again: nothing that exists changes
    assert env.read_text() == text
    os.chown(env, 0, 0)  # put back by root, as for a restore
    assert "Updated in /opt/runninghub-batch" in run(f"{HOME}/deploy/install")
    assert env.stat().st_mode & 0o777 == 0o640
    assert "nothing to delete" in as_user(".venv/bin/python manage.py cleanup")
