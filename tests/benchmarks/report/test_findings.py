import pytest

from tests.benchmarks.report.synthetic import compared, network, record, row
from unetrt.benchmarks.report.findings import findings, headline, tiles
from unetrt.benchmarks.report.network import networks_of
from unetrt.benchmarks.report.pairs import pair_panels, pairs_of, precision_pairs
from unetrt.benchmarks.report.row import rows_of
from unetrt.benchmarks.report.tables import comparisons


def words(of):
    rows = rows_of(of)
    pairs = precision_pairs(pairs_of(of, rows))
    return " ".join(findings(of, rows, pairs, networks_of(of)))


def shown(of):
    rows = rows_of(of)
    return tiles(rows, precision_pairs(pairs_of(of, rows)))


def holding(*rows, comparisons=(), **changed):
    return record() | {"rows": list(rows), "comparisons": list(comparisons)} | changed


def test_the_first_case_is_the_core_at_the_smallest_batch_with_most_rows():
    case = headline(rows_of(record()))
    assert {(row.scope, row.batch, row.height) for row in case} == {("core", 1, 512)}
    assert len(case) == 7


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
    text = words(holding(a, b, comparisons=[compared(a, b, verdict)]))
    assert said in text
    others = {"faster", "slower", "cannot be told apart"} - {verdict}
    assert not any(other in text for other in others)


def test_no_comparison_no_verdict():
    text = words(record() | {"comparisons": []})
    assert not any(verdict in text for verdict in ("faster", "slower", "told apart"))
    assert "lowest median of 7 rows" in text


def test_a_pair_given_the_other_way_round_is_turned():
    a, b = row("tensorrt", "fp16"), row("tensorrt", "fp32")
    of = holding(a, b, comparisons=[compared(a, b, "slower")])
    (pair,) = precision_pairs(pairs_of(of, rows_of(of)))
    assert (pair.a.precision, pair.b.precision, pair.verdict) == ("fp32", "fp16", "faster")
    assert pair.low < pair.ratio < 1 < pair.null_high
    assert pair.low <= pair.ratio <= pair.high


def test_an_interval_without_bounds_is_a_dash_and_no_line():
    a, b = row("tensorrt", "fp16"), row("tensorrt", "fp32")
    unbounded = {"low": 0.0, "high": None, "null_low": 0.0, "null_high": None}
    of = holding(a, b, comparisons=[compared(a, b, "cannot be told apart") | unbounded])
    pairs = pairs_of(of, rows_of(of))
    ((*_, interval, null, _rebuilds),) = comparisons(pairs).rows
    assert interval == null == "\N{EN DASH}"
    (panel,) = pair_panels(precision_pairs(pairs))
    assert [mark.style.split()[0] for mark in panel.marks].count("mark") == 1
    bounded = holding(a, b, comparisons=[compared(a, b, "slower")])
    (other,) = pair_panels(precision_pairs(pairs_of(bounded, rows_of(bounded))))
    assert len(other.marks) == len(panel.marks) + 2  # the interval and the A/A run's
    assert "cannot be told apart" in words(of)


def test_pairs_of_other_cases_or_libraries_are_no_pairs_of_precisions():
    a, b = row("tensorrt", "fp32"), row("onnxruntime", "fp16")
    c = row("tensorrt", "fp16", batch=4)
    of = holding(a, b, c, comparisons=[compared(a, b, "slower"), compared(a, c, "slower")])
    assert precision_pairs(pairs_of(of, rows_of(of))) == []


def test_half_precision_files_computed_in_float32_are_called_that():
    a = row("onnxruntime", "fp32", device="CPU")
    b = row("onnxruntime", "fp16", device="CPU", computes_in="float32")
    text = words(holding(a, b, comparisons=[compared(a, b, "slower")]))
    assert "On onnxruntime both compute in the same type, so that this says nothing" in text
    assert "FP16 / FP32" not in " ".join(tile.words for tile in shown(holding(a, b)))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.8, "it reaches 80 % of that speed: the chip's ceilings limit it"),
        (0.4, "the other 60 % of its time the ceilings do not explain"),
    ],
)
def test_what_limits_it_follows_the_share_of_the_ceilings(share, said):
    least = network("fp16", 512, 1)["attainable_ns"]
    one = row("tensorrt", "fp16", roofline={"attainable_ns": least, "share": share})
    text = words(holding(one))
    assert said in text
    assert "is limited by arithmetic and 2 % by memory traffic" in text
    # Held to another type's ceiling, the network's shares are not this row's.
    other = row("tensorrt", "fp16", roofline={"attainable_ns": 2 * least, "share": share})
    assert "memory traffic" not in words(holding(other))


def test_more_than_the_ceilings_allow_is_no_limit():
    one = row("tensorrt", "fp16", roofline={"attainable_ns": 1e5, "share": 1.5})
    text = words(holding(one))
    assert "it reaches 150 % of that speed, more than they allow" in text
    assert "ceilings limit it" not in text


def test_of_a_long_reason_the_first_words_are_said():
    failure = {"id": "a", "reason": "a disagrees with b: got 1, expected 2; check it."}
    assert words(record() | {"failures": [failure]}).endswith("1 row; a disagrees with b.")


def test_without_ceilings_it_does_not_say_what_limits():
    text = words(record() | {"ceilings": None})
    assert "ceilings were not measured, so what limits it is not known" in text


@pytest.mark.parametrize(("enqueue", "warned"), [(70, False), (90, True)])
def test_launching_that_takes_as_long_as_computing_is_said(enqueue, warned):
    one = row("tensorrt", "fp16")
    one["samples_ns"] |= {"enqueue": [enqueue] * 9, "compute": [100] * 9}
    assert ("the host may limit it" in words(holding(one))) == warned


def test_throttled_windows_are_counted_and_their_absence_too():
    assert "Throttled: 1 of 56 windows (power cap), in 1 row" in words(record())
    assert "None of 1 window was throttled" in words(holding(row("tensorrt", "fp16")))
    on_cpu = row("onnxruntime", "fp32", device="CPU", windows=[])
    assert "throttled" not in words(holding(on_cpu))


def test_a_percentile_is_quoted_only_where_the_samples_carry_it():
    assert "p99" not in words(holding(row("tensorrt", "fp16", n=100)))
    assert "p99" in words(holding(row("tensorrt", "fp16", n=700)))
    assert "10 runs, too few for a tail" in words(holding(row("tensorrt", "fp16", n=10)))


def test_the_tiles_are_the_first_case_s():
    assert [tile.words.partition(":")[0] for tile in shown(record())] == [
        "lowest median",
        "FP16 / FP32, ratio of medians on tensorrt",
        "of the speed that the ceilings allow",
        "timed runs in 56 rows, none left out",
    ]
