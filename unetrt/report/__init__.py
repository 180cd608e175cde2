"""Draw pages and charts in one style; write the reports of a training and of the demo."""

from __future__ import annotations

from .demo import write_demo
from .figures import latency_chart, learning_curve, segmentation_sheet
from .html import render_html, render_template
from .svg import as_file, colours, set_tip, styled_figure, to_svg
from .training import Picture, render_training

__all__ = [
    "Picture",
    "as_file",
    "colours",
    "latency_chart",
    "learning_curve",
    "render_html",
    "render_template",
    "render_training",
    "segmentation_sheet",
    "set_tip",
    "styled_figure",
    "to_svg",
    "write_demo",
]
