"""Children of the benchmarks: the only modules here that load TensorFlow, the builder or convert.

A benchmark starts one as a fresh process, `python -m unetrt.benchmarks.jobs.NAME`, and reads the
JSON that it writes; nothing in the light half imports them (import-linter sees to it).
"""

from __future__ import annotations
