"""What a network must cost, layer by layer, and what the machine can do."""
