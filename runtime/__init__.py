"""Run ONNX files and engines in thin sessions. No TensorFlow, ever."""

from __future__ import annotations

from unetrt.parity import SelfTest, judged_by

from .backends.backend import BoundRun
from .devices import DeviceArray
from .image_io import ImagePort
from .session import Session, open_session
from .session_spec import SessionSpec

__all__ = [
    "BoundRun",
    "DeviceArray",
    "ImagePort",
    "SelfTest",
    "Session",
    "SessionSpec",
    "judged_by",
    "open_session",
]
