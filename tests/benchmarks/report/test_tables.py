import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.report.synthetic import holding, record, row
from tests.benchmarks.report.written import written
from unetrt.benchmarks.record import Failure
from unetrt.benchmarks.report.numbers import compact, figure, share

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


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


def test_fp32_on_a_gpu_says_whether_tf32_was_on():
    on = row("tensorrt", "fp32", n=20, computes_in="tf32")
    cpu = row("onnxruntime", "fp32", n=20, device="CPU")
    _, *cells = written(holding(on, cpu, row("keras-xla", "fp32", n=20))).table("All rows")
    assert {cell[2]: cell[4] for cell in cells} == {
        "tensorrt": "tf32, TF32 on",
        "onnxruntime": "float32",
        "keras-xla (peer)": "float32, TF32 off",
    }


def test_of_many_failures_some_are_named():
    many = tuple(Failure(f"row{k}", "no time") for k in range(20))
    (_, (_, number, ids)) = written(holding(failures=many)).table("Missing rows")
    assert number == "20"
    assert ids.startswith("row0, row1")
    assert ids.endswith("row7 and 12 more, in the record")


def test_failures_of_one_reason_stand_together():
    _, *rows = written(record(n=20, sides=(512,), batches=(1,))).table("Missing rows")
    assert [row[:2] for row in rows] == [["out of memory", "1"], ["no time", "2"]]
