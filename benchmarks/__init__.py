"""Latency that can be trusted. No TensorFlow, ever."""

from __future__ import annotations

from .environment import describe_machine
from .measuring.agreement import Agreement, Reference
from .measuring.call_candidate import CallCandidate
from .measuring.candidate import Candidate, Turn
from .measuring.comparison import Compared, compare_candidates
from .measuring.inputs import TimedInput, random_input, real_input
from .measuring.measure import measure
from .measuring.modes import OpenLoop, Paced, Pipelined, Serialised
from .measuring.plan import Plan
from .measuring.samples import Samples
from .measuring.session_candidate import session_candidate
from .measuring.stats import Latency, summarize
from .record import Comparison, Failure, Record, Row, read_record, write_record

__all__ = [
    "Agreement",
    "CallCandidate",
    "Candidate",
    "Compared",
    "Comparison",
    "Failure",
    "Latency",
    "OpenLoop",
    "Paced",
    "Pipelined",
    "Plan",
    "Record",
    "Reference",
    "Row",
    "Samples",
    "Serialised",
    "TimedInput",
    "Turn",
    "compare_candidates",
    "describe_machine",
    "measure",
    "random_input",
    "read_record",
    "real_input",
    "session_candidate",
    "summarize",
    "write_record",
]
