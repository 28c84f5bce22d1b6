"""A double of an OpenAI-compatible chat server: real HTTP, its wire format, faults on request.

It runs without Django. Read in this order:

    options.py   options and faults, and the markers that prompts carry
    answers.py   the text of an answer, and its objects on the wire
    server.py    routes, streaming, and /__sim__/: calls so far, and options at run time
    cli.py       the command line
    process.py   starts and controls one from Python (tests)
"""
