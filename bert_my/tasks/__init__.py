"""Tasks, their registry, heads and objectives."""
