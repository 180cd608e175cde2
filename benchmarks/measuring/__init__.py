"""Timing that can be trusted: candidates in turns, their samples, what to make of them."""
