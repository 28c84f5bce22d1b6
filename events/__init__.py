"""Live events for any number of readers.

A *stream* is one ordered log: a mission's, for example. ``feed`` reads logs and knows no transport;
``sse`` sends them as Server-Sent Events. Another transport would be a second thin module with the
same ids, so that a client can resume on either. The apps above supply a ``feed.Source`` for each
kind of stream.
"""
