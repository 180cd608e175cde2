"""Ship networks as graphs without weights, filled from a seed."""
