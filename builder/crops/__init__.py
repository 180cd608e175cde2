"""Crops that training sees: drawn, deformed, varied, each a function of a seed and a number."""
