"""Time other tools on the same network, each in a process of its own."""
