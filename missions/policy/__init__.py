"""Rules without rows: when to ask, when to try again, when to stop, what may still be spent."""
