"""Chat completions of any OpenAI-compatible server."""
