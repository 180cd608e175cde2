import math
from dataclasses import replace

import pytest

from tests.benchmarks.report.synthetic import compared, holding, network, record, row
from tests.benchmarks.report.written import whole_report, written
from unetrt.benchmarks.record import Failure

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def whole():
    return whole_report()


def words(of):
    return written(of).words


def test_the_first_case_is_the_core_at_the_smallest_batch_with_most_rows(whole):
    assert "For article, 1x512x512x1, core, tensorrt fp16 has the lowest median of 7 rows" in (
        whole.words
    )


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("faster", "FP16 against FP32: on tensorrt faster (ratio of medians 0."),
        ("cannot be told apart", "FP16 against FP32: on tensorrt cannot be told apart (ratio"),
        ("slower", "FP16 against FP32: on tensorrt slower (ratio of medians 0."),
    ],
)
def test_the_verdict_is_the_record_s(verdict, said):
    a, b = row("tensorrt", "fp32"), row("tensorrt", "fp16")
    text = words(holding(a, b, comparisons=(compared(a, b, verdict),)))
    assert said in text
    others = {"faster", "slower", "cannot be told apart"} - {verdict}
    assert not any(other in text for other in others)


def test_no_comparison_no_verdict():
    text = words(replace(record(n=20, sides=(512,)), comparisons=()))
    assert not any(verdict in text for verdict in ("faster", "slower", "told apart"))
    assert "lowest median of 7 rows" in text


def test_a_comparison_with_fp32_as_b_is_told_the_other_way_round():
    a, b = row("tensorrt", "fp16"), row("tensorrt", "fp32")
    found = written(holding(a, b, comparisons=(compared(a, b, "slower"),)))
    assert "FP16 against FP32: on tensorrt faster (ratio of medians 0.160)" in found.words
    assert found.table("Comparisons")[1][1:] == [
        "tensorrt fp32 (TF32 off)", "tensorrt fp16", "faster", "2.23", "0.355", "0.160",
        "0.156 to 0.163", "0.985 to 1.015", "3",
    ]  # fmt: skip
    unbounded = compared(a, b, "cannot be told apart", low=0.0, high=math.inf, null_low=None)
    cells = written(holding(a, b, comparisons=(unbounded,))).table("Comparisons")[1]
    assert cells[-4:] == ["0.160", "-", "-", "3"]


def test_pairs_of_other_cases_or_libraries_are_no_pairs_of_precisions():
    a, b = row("tensorrt", "fp32"), row("onnxruntime", "fp16")
    c = row("tensorrt", "fp16", batch=4)
    found = written(holding(a, b, c, comparisons=(compared(a, b, "slower"),
                                                  compared(a, c, "slower"))))  # fmt: skip
    assert "against" not in found.words
    assert len(found.table("Comparisons")) == 3
    titles = [chart.title for chart in found.charts("comparisons")]
    assert titles == ["article, 1x512x512x1, core", "article, 4x512x512x1, core"]


def test_half_precision_files_computed_in_float32_are_called_that():
    a = row("onnxruntime", "fp32", device="CPU")
    b = row("onnxruntime", "fp16", device="CPU", computes_in="float32")
    found = written(holding(a, b, comparisons=(compared(a, b, "slower"),)))
    assert "On onnxruntime both compute in the same type, so that this says nothing" in found.words
    assert "FP16 / FP32" not in " ".join(words for words, _ in found.tiles)


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.8, "it reaches 80 % of that speed: the chip's ceilings limit it"),
        (0.4, "it reaches 40 % of that speed; they do not explain the other 60 % of its time"),
    ],
)
def test_the_limit_follows_the_share_of_the_ceiling(share, said):
    least = network("fp16", 512, 1)["attainable_ns"]
    one = row("tensorrt", "fp16", roofline={"attainable_ns": least, "share": share})
    text = words(holding(one))
    assert said in text
    assert "arithmetic limits 98 % of the attainable time, memory traffic 2 %" in text
    # Held to another type's ceiling, the network's shares are not this row's.
    other = row("tensorrt", "fp16", roofline={"attainable_ns": 2 * least, "share": share})
    assert "memory traffic" not in words(holding(other))


def test_more_than_the_ceilings_allow_is_no_limit():
    one = row("tensorrt", "fp16", roofline={"attainable_ns": 1e5, "share": 1.5})
    text = words(holding(one))
    assert "it reaches 150 % of that speed, more than they allow" in text
    assert "ceilings limit it" not in text


def test_of_a_long_reason_the_first_words_are_said():
    failure = Failure("a", "a disagrees with b: got 1, expected 2; check it.")
    one = holding(row("tensorrt", "fp16", n=20), failures=(failure,))
    assert words(one).endswith("1 row; a disagrees with b.")


def test_without_ceilings_it_does_not_say_what_limits():
    text = words(holding(row("tensorrt", "fp16", n=20), ceilings=None))
    assert "ceilings were not measured, so what limits it is not known" in text


@pytest.mark.parametrize(("enqueue", "warned"), [(70, False), (90, True)])
def test_launching_that_takes_as_long_as_computing_is_said(enqueue, warned):
    one = row("tensorrt", "fp16", n=20)
    one.samples_ns.update(enqueue=(enqueue,) * 9, compute=(100,) * 9)
    assert ("the host may limit it" in words(holding(one))) == warned


def test_throttled_windows_are_counted_and_their_absence_too(whole):
    assert "Throttled: 1 of 56 windows (power cap), in 1 row" in whole.words
    assert "None of 1 window was throttled" in words(holding(row("tensorrt", "fp16", n=20)))
    on_cpu = row("onnxruntime", "fp32", n=20, device="CPU", windows=())
    assert "throttled" not in words(holding(on_cpu))


def test_a_percentile_is_quoted_only_where_the_samples_are_enough():
    assert "p99" not in words(holding(row("tensorrt", "fp16", n=100)))
    assert "p99" in words(holding(row("tensorrt", "fp16", n=700)))
    assert "10 samples, too few for a tail" in words(holding(row("tensorrt", "fp16", n=10)))


def test_the_tiles_are_the_first_case_s(whole):
    assert [words.partition(":")[0] for words, _ in whole.tiles] == [
        "lowest median",
        "FP16 / FP32, ratio of medians on tensorrt",
        "of the speed that the ceilings allow",
        "samples in 56 rows, none left out",
    ]
    assert whole.tiles[-1][1] == "5,600"
