"""Latency that can be trusted. No TensorFlow, ever."""

from __future__ import annotations

from .environment import describe_machine
from .measure import Plan, Samples, measure
from .stats import Latency, summarize

__all__ = ["Latency", "Plan", "Samples", "describe_machine", "measure", "summarize"]
