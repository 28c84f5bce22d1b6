"""Workers, servers and simulators that a command starts on this machine, and what became of the run."""
