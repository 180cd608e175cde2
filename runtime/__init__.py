"""A thin session over an ONNX file or an engine. No TensorFlow, ever."""

from __future__ import annotations

from .image_port import ImagePort
from .session import Session, SessionSpec, open_session

__all__ = ["ImagePort", "Session", "SessionSpec", "open_session"]
