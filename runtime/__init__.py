"""A thin session over an ONNX file or an engine. No TensorFlow, ever."""

from __future__ import annotations

from .bound_run import BoundRun, Stages
from .devices import DeviceArray
from .image_port import ImagePort
from .self_test import SelfTest, judged_by
from .session import Session, open_session
from .session_spec import SessionSpec

__all__ = [
    "BoundRun",
    "DeviceArray",
    "ImagePort",
    "SelfTest",
    "Session",
    "SessionSpec",
    "Stages",
    "judged_by",
    "open_session",
]
