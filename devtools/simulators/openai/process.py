"""Starts, controls and ends one chat simulator from Python, for tests."""

from __future__ import annotations

from typing import Any

from devtools.simulators.runninghub.process import SimulatorProcess


class ChatSimulatorProcess(SimulatorProcess):
    """One chat simulator. Its options are those of ``options.Options``; ``url`` has no /v1."""

    module = "devtools.simulators.openai"

    def set(self, **changes: Any) -> dict[str, Any]:
        """Change options and arm faults by name: ``set(token_seconds=0.1, paid_half=1)``."""
        return dict(self._ask("POST", "options", changes))
