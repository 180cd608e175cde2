"""Measure what this project promises: one script a promise, not installed by pip.

    python -m unetrt.benchmarks.promises          lists them
    python -m unetrt.benchmarks.promises.NAME     measures one; exit status 1 where it is missed

Only these scripts may load every stage, TensorFlow included; nothing imports them.
"""

from __future__ import annotations
