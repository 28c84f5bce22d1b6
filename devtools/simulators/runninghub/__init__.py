"""A stand-in for RunningHub: a real HTTP server that speaks its wire format and fails on request.

It runs without Django, so that it starts quickly and can be killed freely.  Read in this order:

    knobs.py     what can be turned, with defaults
    faults.py    what can be made to go wrong, and the markers that prompts carry
    tasks.py     how a task stands at a given moment: a pure function of its row and the clock
    state.py     the SQLite file that outlives a kill
    wire.py      RunningHub's envelopes
    service.py   RunningHub's endpoints
    files.py     result files and uploads; pictures.py draws them
    webhooks.py  tells callers that a task ended
    panel.py     /__sim__/: what happened so far, and the knobs at run time
    server.py    routes and process; exchange.py is one request and its answer
    control.py   starts and asks a simulator from Python (tests, benchmarks)
"""
