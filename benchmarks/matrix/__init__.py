"""Time every network, size, batch and precision with every library that is here."""
