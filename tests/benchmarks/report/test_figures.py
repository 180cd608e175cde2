import re

from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.report.synthetic import COPIED, PEAKS, record, row
from unetrt.benchmarks.report.blocks import attained_panels, share_panels
from unetrt.benchmarks.report.distributions import distribution_panels
from unetrt.benchmarks.report.network import networks_of
from unetrt.benchmarks.report.numbers import compact, figure, share
from unetrt.benchmarks.report.roofline import roofline_panels
from unetrt.benchmarks.report.row import rows_of
from unetrt.benchmarks.report.scale import Scale
from unetrt.benchmarks.report.scaling import batch_panels, size_panels
from unetrt.benchmarks.report.tables import all_rows, failures

POSITIVE = st.floats(1e-6, 1e9)


@given(st.lists(POSITIVE, min_size=1, max_size=20), st.booleans())
def test_every_value_lies_inside_the_axis_and_in_order(values, log):
    scale = Scale.over(values, 0, 300, log=log)
    places = [scale(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 300 for place in places)


@given(POSITIVE, st.floats(1.0, 1e8), st.booleans())
def test_an_axis_has_two_to_a_dozen_ticks_inside_it(low, ratio, log):
    ticks = Scale.over([low, low * ratio], 0, 300, log=log).ticks()
    assert 2 <= len(ticks) <= 12
    assert all(-0.1 <= at <= 300.1 for at, _ in ticks)
    assert [at for at, _ in ticks] == sorted(at for at, _ in ticks)


@given(st.floats(1e-12, 1e12))
def test_a_figure_keeps_its_value_to_three_digits(value):
    assert abs(float(figure(value).replace(",", "")) - value) <= 0.051 * value
    if value >= 1e-4:
        assert abs(float(figure(value).replace(",", "")) - value) <= 0.0051 * value


def test_numbers_read_as_people_write_them():
    assert [figure(x) for x in (0, 0.01234, 1.5, 123.4, 12345, 2e-6)] == [
        "0", "0.0123", "1.50", "123", "12,345", "2.0e-06",
    ]  # fmt: skip
    assert [compact(x, "FLOP/s") for x in (7.9e14, 5e10, 12)] == [
        "790 TFLOP/s", "50 GFLOP/s", "12 FLOP/s",
    ]  # fmt: skip
    assert [share(x) for x in (0, 0.004, 0.5, 1.2)] == ["0 %", "0.4 %", "50 %", "120 %"]


def test_a_distribution_draws_its_slowest_run_and_its_fastest():
    slow = row("tensorrt", "fp16", n=700)
    slow["samples_ns"]["host"][3] = 900_000_000
    (panel,) = distribution_panels(rows_of(record() | {"rows": [slow]}))
    bars = next(mark for mark in panel.marks if mark.style.startswith("bars"))
    assert bars.tip == "700 runs"
    at = [float(x) for x in re.findall(r"M([\d.]+) ", bars.shape)]
    assert panel.left <= min(at) < panel.left + 15
    assert panel.right - 15 < max(at) <= panel.right
    assert panel.x.title == "milliseconds, logarithmic"


def test_a_line_has_a_point_a_batch_and_a_panel_a_size():
    rows = rows_of(record(batches=(1, 2, 8)))
    panels = batch_panels(rows)
    assert [panel.title for panel in panels] == [
        "article, 256\u00d7256, core", "article, 256\u00d7256, end to end",
        "article, 512\u00d7512, core", "article, 512\u00d7512, end to end",
    ]  # fmt: skip
    assert [label for _, label in panels[0].x.ticks] == ["1", "2", "8"]
    assert all(len([m for m in p.marks if m.style.startswith("mark")]) == 21 for p in panels)
    assert len(size_panels(rows)) == 6


def test_one_size_is_no_line():
    assert size_panels(rows_of(record(sides=(512,)))) == []


def test_the_roof_has_its_corner_where_the_ceilings_meet():
    of = record()
    full, half = roofline_panels(of, networks_of(of), rows_of(of))
    assert "50 TFLOP/s" in full.words[0].text
    assert "400 TFLOP/s" in half.words[0].text
    roof = next(mark for mark in half.marks if mark.style.startswith("line"))
    start, corner, end = [tuple(map(float, point.split())) for point in roof.shape[1:].split("L")]
    assert corner[1] == end[1] < start[1]
    assert PEAKS["float16"] / COPIED == 200
    assert len([mark for mark in half.marks if mark.style == "hollow"]) == 5
    assert roofline_panels(of | {"ceilings": None}, networks_of(of), rows_of(of)) == []


def test_blocks_are_ranked_by_their_least_time_and_split_by_what_limits_them():
    networks = networks_of(record())
    panel = share_panels(networks)[0]
    assert [w.text for w in panel.words[::2]] == ["down1", "down2", "bottleneck", "up1", "head"]
    assert sum(float(w.text.split()[0]) for w in panel.words[1::2]) == 100.6
    assert 0 < networks[0].by_memory < 0.01 < networks[1].by_memory < 0.05
    (attained,) = attained_panels(networks)
    assert {w.text for w in attained.words[1::2]} == {"fp32 80 % \u00b7 fp16 55 %"}


def test_fp32_on_a_gpu_says_whether_tf32_was_on():
    on = row("tensorrt", "fp32", computes_in="tf32")
    cpu = row("onnxruntime", "fp32", device="CPU")
    cells = all_rows(rows_of(record() | {"rows": [on, cpu, row("keras-xla", "fp32")]})).rows
    said = {cell[2]: cell[4] for cell in cells}
    assert said == {
        "tensorrt": "tf32, TF32 on",
        "onnxruntime": "float32",
        "keras-xla (peer)": "float32, TF32 off",
    }


def test_what_computes_in_another_type_than_its_file_says_so_in_its_name():
    rows = [
        row("onnxruntime", "fp16", device="CPU", computes_in="float32"),
        row("openvino", "fp32", device="CPU", computes_in="bfloat16"),
        row("openvino", "fp16", device="CPU"),
        row("keras-xla", "fp32", computes_in="bfloat16"),
        row("onnxruntime", "fp16", device="CPU")
        | {"precision": "int8", "computes_in": "int8, the rest float32"},
    ]
    assert {one.runner for one in rows_of(record() | {"rows": rows})} == {
        "onnxruntime fp16 in float32", "openvino fp32 in bfloat16", "openvino fp16",
        "keras-xla fp32 in bfloat16", "onnxruntime int8",
    }  # fmt: skip


def test_of_many_failures_some_are_named():
    many = [{"id": f"row{k}", "reason": "no time"} for k in range(20)]
    ((_, number, which),) = failures(record() | {"failures": many}).rows
    assert number == "20"
    assert which.startswith("row0, row1")
    assert which.endswith("row7 and 12 more, in the record")


def test_failures_of_one_reason_stand_together():
    table = failures(record())
    assert [row[:2] for row in table.rows] == [("out of memory", "1"), ("no time", "2")]
