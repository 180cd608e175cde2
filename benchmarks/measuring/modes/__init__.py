"""How runs follow each other, one mode a file."""

from __future__ import annotations

from .mode import Mode
from .open_loop import OpenLoop
from .paced import Paced
from .pipelined import Pipelined
from .serialised import Serialised

__all__ = ["Mode", "OpenLoop", "Paced", "Pipelined", "Serialised"]
