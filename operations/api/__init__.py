"""The API's answers about the site itself: its health, its load, and the caller's limits."""
