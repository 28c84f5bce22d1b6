"""A stand-in for RunningHub: a real HTTP server that speaks its wire format and fails on request.

It runs without Django, so that it starts quickly and can be killed freely.  Read in this order:

    options.py   what can be turned, with defaults
    faults.py    what can be made to go wrong, and the markers that prompts carry
    tasks.py     how a task stands at a given moment: a pure function of its row and the clock
    state.py     the SQLite file that outlives a kill
    envelopes.py  RunningHub's envelopes
    service.py   RunningHub's endpoints
    files.py     result files and uploads; rendering.py draws them
    webhooks.py  tells callers that a task ended
    control_api.py  /__sim__/: what happened so far, and the options at run time
    server.py    routes; ../server.py is the process, ../http.py one request and its answer
    process.py   starts and asks a simulator from Python (tests, benchmarks)
"""
