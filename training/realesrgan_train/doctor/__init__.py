"""Look for what would go wrong in a run, before it starts."""
