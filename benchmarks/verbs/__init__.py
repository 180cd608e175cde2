"""The commands of `python -m unetrt.benchmarks`, one file each."""
