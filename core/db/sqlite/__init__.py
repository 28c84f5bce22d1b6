"""Django's SQLite backend for many writing processes (``base.py``)."""
