"""What another precision needs to know: layers, ranges, overflow."""
