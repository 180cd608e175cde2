"""How well a model segments: overlap, surfaces, objects, flipped and turned."""
