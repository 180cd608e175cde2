"""Compare the time of networks and layers with the best that the machine could do."""
