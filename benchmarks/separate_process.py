"""Run a part of a benchmark in a separate process, to measure its memory alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.site import ROOT

CASE = "BENCH_CASE"


def run(module: str, case: dict[str, Any]) -> dict[str, Any]:
    """Run ``python -m module`` for a case on the site of this process and return its answer."""
    environment = {**os.environ, CASE: json.dumps(case)}
    done = subprocess.run([sys.executable, "-m", module], env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def case() -> dict[str, Any] | None:
    """Set up Django and return this process's case; None in the benchmark's own process."""
    if CASE not in os.environ:
        return None
    import django

    django.setup()
    return dict(json.loads(os.environ[CASE]))


def answer(figures: dict[str, Any]) -> int:
    """Hand the figures back.  Returns the exit code."""
    json.dump(figures, sys.stdout)
    return 0


def forget_peak_memory() -> None:
    """Let the peak be what is held now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> float:
    """Return the peak memory of this process.  (``getrusage`` may report the larger parent's.)"""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
