"""The parts of a training: its losses, its course, its record, its resumption."""
