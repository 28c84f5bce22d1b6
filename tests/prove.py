"""``make prove``: the long proofs, one after the other, with a report in ``var/prove/report.md``.

    python -m tests.prove                  # all of them, in about half an hour
    python -m tests.prove browser chaos    # those whose name contains one of the words

Ends with 1 when a proof failed.  The output of each is kept beside the report.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "var" / "prove"
PYTEST = (sys.executable, "-m", "pytest", "--dist", "load", "--maxschedchunk", "1", "-q")
ON_POSTGRESQL = (sys.executable, "-m", "tests.postgres_server")
# Everything that make test leaves out; these folders are proofs of their own.
OTHERS = (
    "--ignore",
    "tests/machines",
    "--ignore",
    "tests/upgrade",
    "--ignore",
    "tests/chaos",
    "--ignore",
    "tests/browser",
    "--ignore",
    "tests/deploy",
)
CHAOS = (sys.executable, "-m", "tests.chaos", "--seconds")


@dataclass(frozen=True, slots=True)
class Proof:
    """A named command.  Its last lines say what it found."""

    name: str
    command: tuple[str, ...]


PROOFS = [
    Proof("processes, SQLite", (*PYTEST, "-n", "3", "-m", "prove", *OTHERS)),
    Proof("processes, PostgreSQL", (*ON_POSTGRESQL, *PYTEST, "-n", "3", "-m", "processes", *OTHERS)),
    Proof("upgrade and oracle", (*PYTEST, "-n", "2", "tests/upgrade", "tests/chaos")),
    Proof("upgrade, PostgreSQL", (*ON_POSTGRESQL, *PYTEST, "-n", "2", "tests/upgrade")),
    Proof("browser", (*PYTEST, "-n", "2", "tests/browser")),
    Proof("machines", (*PYTEST, "-n", "1", "tests/machines")),
    Proof("installation", (*PYTEST, "-n", "0", "-m", "prove", "tests/deploy")),
    Proof("chaos, SQLite", (*CHAOS, "240")),
    Proof("chaos, PostgreSQL", (*CHAOS, "240", "--database", "postgresql")),
    Proof("audit", (sys.executable, ".ci/audit")),
]


def run(proof: Proof) -> tuple[bool, float, str]:
    """Run a proof.  Return whether it passed, its seconds, and its summary line."""
    log = FOLDER / f"{re.sub('[^a-z]+', '-', proof.name.lower())}.log"
    began = time.monotonic()
    with log.open("w") as file:
        done = subprocess.run(proof.command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return done.returncode == 0, time.monotonic() - began, lines[-1] if lines else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="run the proofs whose name contains one of these words")
    words = parser.parse_args().words
    chosen = [proof for proof in PROOFS if not words or any(word in proof.name.lower() for word in words)]
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = ["# Long proofs", "", "| proof | result | seconds | summary |", "|---|---|---|---|"]
    failures = 0
    for proof in chosen:
        print(f"{proof.name} …", flush=True)
        is_passed, seconds, summary = run(proof)
        failures += not is_passed
        result = "passed" if is_passed else "FAILED"
        print(f"{proof.name}: {result} in {seconds:.0f} s. {summary}", flush=True)
        rows.append(f"| {proof.name} | {result} | {seconds:.0f} | {summary.replace('|', '/')} |")
        (FOLDER / "report.md").write_text("\n".join(rows) + "\n")
    print(f"{len(chosen) - failures} of {len(chosen)} proofs passed. The report is {FOLDER / 'report.md'}.")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
