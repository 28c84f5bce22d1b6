"""``python -m devtools.simulators.runninghub --port 9100``: the simulator without Django."""

from devtools.simulators.runninghub.cli import main

main()
