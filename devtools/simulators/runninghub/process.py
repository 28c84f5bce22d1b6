"""Start, ask and end one simulator from Python, for tests and benchmarks.

with SimulatorProcess(task_seconds=0.5, faults={"submit_503": 2}) as simulator:
    ... use simulator.url as the base URL ...
    simulator.set(task_seconds=3, query_500=0.2)
    assert simulator.stats()["accepted"] == 10
"""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 15.0
PATIENCE = 30.0


class SimulatorProcess:
    """One simulator, started and ready when the constructor returns, with ``options.Options``.

    ``restart`` keeps port, state file and the flags of the start.  Raises RuntimeError when it does
    not start.
    """

    module = "devtools.simulators.runninghub"  # what ``python -m`` starts

    def __init__(
        self, *, port: int = 0, state: str | Path = "", faults: dict[str, Any] | None = None, **options: Any
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="simulator-")
        pairs = [
            (name, entry)
            for name, value in options.items()
            for entry in ([f"{key}={text}" for key, text in value.items()] if isinstance(value, dict) else [value])
        ]
        self._flags = [f"--state={state or Path(self._folder.name, 'state.sqlite3')}"]
        self._flags += [f"--{name.replace('_', '-')}={value}" for name, value in pairs]
        self._flags += [f"--fault={name}={amount}" for name, amount in (faults or {}).items()]
        self._session = requests.Session()
        self._session.trust_env = False
        try:
            self._process, self.url = self._begin(port)
        except RuntimeError:
            self._tidy()
            raise

    def _begin(self, port: int) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", self.module, "--tied", f"--port={port}", *self._flags]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        out = process.stdout
        line = out.readline() if out and select.select([out], [], [], START_SECONDS)[0] else ""
        if not line.startswith("Simulator ready at "):
            process.kill()
            process.communicate(timeout=10)
            raise RuntimeError(f"the simulator did not start: {line!r}")
        return process, line.split()[-1]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        return self._process.pid

    # asking

    def stats(self) -> dict[str, Any]:
        return dict(self._ask("GET", "stats"))

    def paid(self) -> dict[str, dict[str, int]]:
        """Return ``{"requests": {hash: times}, "prompts": {prompt: times}}``."""
        return dict(self._ask("GET", "paid"))

    def submits(self, since: float = 0) -> list[dict[str, Any]]:
        """Return accepted and refused submits since ``since`` (epoch seconds), oldest first."""
        return list(self._ask("GET", f"submits?since={since!r}"))

    def tasks(self, limit: int = 100) -> list[dict[str, Any]]:
        return list(self._ask("GET", f"tasks?limit={limit}"))

    def options(self) -> dict[str, Any]:
        return dict(self._ask("GET", "options"))

    def set(self, **changes: Any) -> dict[str, Any]:
        """Set options and arm faults by name: ``set(cap=5, submit_500=0.1, query_drop=3)``."""
        return dict(self._ask("POST", "options", changes))

    def reset(self) -> None:
        self._ask("POST", "reset", {})

    def _ask(self, method: str, page: str, content: Any = None) -> Any:
        answer = self._session.request(method, f"{self.url}/__sim__/{page}", json=content, timeout=PATIENCE)
        if not answer.ok:
            raise ValueError(answer.text)
        return answer.json()

    # ending

    def kill(self) -> None:
        """End it with ``kill -9``. The state file stays."""
        self._process.kill()
        self._reap()

    def restart(self) -> None:
        self.kill()
        self._process, self.url = self._begin(self.port)

    def stop(self) -> None:
        self._process.terminate()
        self._reap()
        self._tidy()

    def _reap(self) -> None:
        self._process.communicate(timeout=10)

    def _tidy(self) -> None:
        self._session.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
