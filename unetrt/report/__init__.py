"""What a run found, for people (HTML) and for programs (JSON)."""

from __future__ import annotations

from .figures import latency_chart, learning_curve, segmentation_sheet
from .html import render_html, render_template

__all__ = [
    "latency_chart",
    "learning_curve",
    "render_html",
    "render_template",
    "segmentation_sheet",
]
