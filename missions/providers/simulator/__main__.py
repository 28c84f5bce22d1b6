"""``python -m missions.providers.simulator --port 9100``: the simulator without Django."""

from missions.providers.simulator.cli import main

main()
