import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.report.synthetic import COPIED, PEAKS, compared, holding, record, row
from tests.benchmarks.report.written import across, whole_report, written
from unetrt.benchmarks.report.axes import round_ticks, span_of
from unetrt.report import colours, styled_figure

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
POSITIVE = st.floats(1e-6, 1e9)
LEFT, RIGHT = 10, 350
"""Pixels of a strip's frame."""


@pytest.fixture(scope="module")
def whole():
    return whole_report()


@given(st.lists(POSITIVE, min_size=1, max_size=20), st.booleans())
def test_every_value_lies_inside_the_axis(values, log):
    low, high = span_of(values, log=log)
    assert low < min(values)
    assert max(values) < high


@settings(max_examples=40, deadline=None)
@given(POSITIVE, st.floats(1.01, 1e8), st.booleans())
def test_an_axis_has_two_to_ten_plain_ticks_inside_it(low, ratio, log):
    span = (low, low * ratio)
    with styled_figure(360, 100) as drawing:
        axes = drawing.add_subplot(xscale="log" if log else "linear", xlim=span)
        round_ticks(axes.xaxis, span, log=log)
        labels = axes.xaxis.get_majorticklabels()
        inside = [
            label.get_text() for label, at in zip(labels, axes.get_xticks(), strict=True)
            if span[0] <= at <= span[1]
        ]  # fmt: skip
    assert 2 <= len(inside) <= 10
    assert not any("$" in label or "^" in label for label in inside)


def test_a_distribution_draws_its_slowest_sample_and_its_fastest():
    slow = row("tensorrt", "fp16", n=700)
    slow.samples_ns["host"] = (*slow.host_ns[:-1], 900_000_000)
    (chart,) = written(holding(slow)).charts("latency")
    (bars,) = chart.tipped("tensorrt fp16: 700 samples")
    at = across(bars)
    assert LEFT <= min(at) < LEFT + 15
    assert RIGHT - 15 < max(at) <= RIGHT
    assert "milliseconds, logarithmic" in chart.texts
    assert [tip.partition(" ")[0] for tip in chart.tips if tip.startswith("p")] == [
        "p50", "p90", "p99",
    ]  # fmt: skip


def test_samples_of_one_length_are_drawn_too():
    same = replace(row("tensorrt", "fp16", n=20), samples_ns={"host": (0,) * 20})
    (chart,) = written(holding(same)).charts("latency")
    assert len(chart.tipped("tensorrt fp16: 20 samples")) == 1


def test_a_case_is_a_chart_and_throttled_rows_stand_out(whole):
    charts = whole.charts("latency")
    assert [chart.title for chart in charts[:3]] == [
        "article, 1x512x512x1, core",
        "article, 1x512x512x1, end to end",
        "article, 4x512x512x1, core",
    ]
    assert len(charts) == 8
    names = {text.text: text.attrib["style"] for text in charts[0].root.iter("text")}
    assert f"var(--warn, {colours()['warn']})" in names["torch-compile fp16"]
    assert "--warn" not in names["tensorrt fp16"]


def test_a_comparison_shows_ratio_interval_and_its_null():
    a, b = row("tensorrt", "fp32"), row("tensorrt", "fp16")
    told = {}
    for verdict in ("faster", "cannot be told apart"):
        of = holding(a, b, comparisons=(compared(a, b, verdict),))
        (chart,) = written(of).charts("comparisons")
        assert "tensorrt fp16 vs fp32 (TF32 off)" in chart.texts
        assert verdict in chart.described
        assert len(chart.tipped("A/A test 0.985 to 1.015")) == 1
        (dot,) = chart.tipped("tensorrt fp16 vs fp32 (TF32 off): 0.1")
        told[verdict] = dot.find(".//use").attrib["style"]
    assert "fill: var(--fp16" in told["faster"]
    assert "fill: var(--card" in told["cannot be told apart"]


def test_an_interval_without_bounds_is_a_dash_and_no_line():
    a, b = row("tensorrt", "fp32"), row("tensorrt", "fp16")
    ends = {"low": 0.0, "high": math.inf, "null_low": 0.0, "null_high": math.inf}
    unbounded = compared(a, b, "cannot be told apart", **ends)
    found = written(holding(a, b, comparisons=(unbounded,)))
    assert found.table("Comparisons")[1][-3:-1] == ["-", "-"]
    (chart,) = found.charts("comparisons")
    (other,) = written(holding(a, b, comparisons=(compared(a, b, "faster"),))).charts("comparisons")
    drawn = [len(list(one.root.iter("path"))) for one in (chart, other)]
    assert drawn[1] == drawn[0] + 2  # the interval and the A/A test's
    assert "cannot be told apart" in found.words


def test_a_line_has_a_point_a_batch_and_a_chart_a_size():
    of = record(n=20, batches=(1, 2, 8))
    found = written(of)
    charts = found.charts("batch")
    assert [chart.title for chart in charts] == [
        "article, 256x256, core", "article, 256x256, end to end",
        "article, 512x512, core", "article, 512x512, end to end",
    ]  # fmt: skip
    assert {"1", "2", "8", "batch"} <= set(charts[0].texts)
    assert all(len(chart.tips) == 21 for chart in charts)
    assert "tensorrt fp16: 1: 0." in charts[0].described
    assert len(found.charts("size")) == 6


def test_one_size_is_no_line():
    assert written(record(n=20, sides=(512,))).charts("size") == []


def test_the_roof_has_its_corner_where_the_ceilings_meet(whole):
    full, half = whole.charts("roofline")
    assert "float32 50 TFLOP/s" in full.texts
    assert "float16 400 TFLOP/s" in half.texts
    lines = [path for path in half.root.iter("path")
             if "stroke: var(--fp16" in path.attrib.get("style", "")]  # fmt: skip
    points = re.findall(r"([\d.]+) ([\d.]+)", lines[0].attrib["d"])
    start, corner, end = [tuple(map(float, point)) for point in points]
    assert corner[1] == end[1] < start[1]
    assert PEAKS["float16"] / COPIED == 200
    assert len([tip for tip in half.tips if "FLOP a byte" in tip]) == 5
    assert written(holding(row("tensorrt", "fp16"), ceilings=None)).charts("roofline") == []


def test_a_row_that_computes_in_another_type_has_that_type_s_ceiling_above_it():
    other = row("openvino", "fp32", computes_in="float16")
    full, _ = written(holding(other)).charts("roofline")
    assert {"float32 50 TFLOP/s", "float16 400 TFLOP/s"} <= set(full.texts)


def test_blocks_have_their_share_of_the_attainable_time_and_of_the_ceiling(whole):
    full, _ = whole.charts("shares")
    names = [text for text in full.texts if text in {"down1", "down2", "bottleneck", "up1", "head"}]
    assert names == ["down1", "down2", "bottleneck", "up1", "head"]
    shares = [float(text.split()[0]) for text in full.texts if text.endswith(" %")]
    assert sum(shares) == pytest.approx(100, abs=2)
    (attained,) = whole.charts("attained")
    assert attained.texts.count("fp32 80 % . fp16 55 %") == 5
    limited = [line[-1] for line in whole.table("Roofline")[1:]]
    assert limited == ["0.6 %", "2 %"]


def test_no_id_is_there_twice_and_the_same_record_gives_the_same_page(whole):
    ids = re.findall(r'\bid="([^"]+)"', whole.page)
    assert len(ids) > 50
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'(?:url\(|href=")#([\w]+)', whole.page)) <= set(ids)
    assert written(record()) == whole


def test_colours_are_the_page_s_own(whole):
    drawings = "".join(re.findall(r"<svg.*?</svg>", whole.page, re.DOTALL))
    named = re.findall(r"var\(--(\w+), (#[0-9a-f]{6})\)", drawings)
    assert len(named) > 500
    assert dict(named).items() <= colours().items()
    assert len(re.findall(r"#[0-9a-f]{6}\b", drawings)) == len(named)


@pytest.mark.parametrize("name", ["$x^2$", "日本 \x01 \x7f", "a\nb", "x" * 300])
def test_a_name_is_drawn_as_it_is_and_no_letter_is_an_error(name):
    (chart,) = written(holding(row(name, "fp16", n=20))).charts("latency")
    drawn = "".join(chart.texts)
    assert name[:3].replace("\n", "") in drawn
    assert "FP16" not in drawn
