"""Latency that can be trusted. No TensorFlow, ever."""

from __future__ import annotations

from .agreement import Agreement, Reference
from .call_candidate import CallCandidate
from .candidate import Candidate, Turn
from .comparison import Compared, compare_candidates
from .environment import describe_machine
from .inputs import TimedInput, random_input, real_input
from .measure import measure
from .modes import OpenLoop, Paced, Pipelined, Serialised
from .plan import Plan
from .record import Record, read_record, write_record
from .row import Row
from .samples import Samples
from .session_candidate import session_candidate
from .stats import Latency, summarize

__all__ = [
    "Agreement",
    "CallCandidate",
    "Candidate",
    "Compared",
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
