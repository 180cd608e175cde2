"""How far each value of a graph sees: along an axis, through a node, by its attributes."""
