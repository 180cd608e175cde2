"""Measure latency that can be trusted. No TensorFlow, ever."""

from __future__ import annotations

from .ab_test import ABTest, compare_candidates
from .agreement import Agreement, Reference
from .candidates import CallCandidate, Candidate, Runs, session_candidate
from .inputs import TimedInput, random_input, real_input
from .machine import describe_machine
from .measure import MeasureSpec, measure
from .modes import OpenLoop, Paced, Pipelined, Serialised
from .record import Comparison, Failure, Record, Row, read_record, write_record
from .statistics import Latency, Samples, summarize

__all__ = [
    "ABTest",
    "Agreement",
    "CallCandidate",
    "Candidate",
    "Comparison",
    "Failure",
    "Latency",
    "MeasureSpec",
    "OpenLoop",
    "Paced",
    "Pipelined",
    "Record",
    "Reference",
    "Row",
    "Runs",
    "Samples",
    "Serialised",
    "TimedInput",
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
