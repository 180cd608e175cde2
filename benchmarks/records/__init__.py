"""What a benchmark leaves: a versioned file of raw samples."""
