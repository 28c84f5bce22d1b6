"""Pages about missions. Thin: a selector reads, a service acts, a template shows."""
