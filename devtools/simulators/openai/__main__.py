"""``python -m devtools.simulators.openai --port 9200``: the simulator without Django."""

from devtools.simulators.openai.cli import main

main()
