import pytest

from unetrt.benchmarks.fast import judge, measure_fast
from unetrt.errors import CheckFailed


def results(keras_ms=(250, 500, 240), fast_ms=(80, 160, 80), dice=(0.91, 0.9102)):
    def server(ms, value):
        return {
            "info": {"backend": "openvino", "computes_in": "bfloat16"},
            "shape": [1, 256, 256, 1],
            "latency_ns": [[int(one * 1e6)] * 3 for one in ms],
            "dice": {"nucleus": value, "per_image_foreground": value},
        }

    return {
        "precision": "fast",
        "trained": {"parameters": 34_585_794},
        "keras": server(keras_ms, dice[0]),
        "session": server(fast_ms, dice[1]),
    }


def test_a_turn_is_held_against_the_turn_beside_it():
    speed, dice = judge(results())
    assert speed.kept
    assert speed.measured.startswith("3.12 times (80.0 against 250.0 ms; openvino computes in bf")
    assert dice.kept
    assert dice.measured == (
        "0.00020 (nucleus 0.9100 and 0.9102, per_image_foreground 0.9100 and 0.9102)"
    )


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (results(fast_ms=(101, 201, 100)), [False, True]),
        (results(dice=(0.91, 0.9111)), [True, False]),
        (results(dice=(0.91, 0.9089)), [True, False]),
        (results(dice=(0.91, float("nan"))), [True, False]),
        (results(dice=(0.1, 0.1)), [True, False]),  # nothing was learned: it means nothing
    ],
)
def test_a_missed_figure_is_said(measured, kept):
    assert [verdict.kept for verdict in judge(measured)] == kept


@pytest.mark.tf
@pytest.mark.slow
def test_both_answer_in_turn(disc_folder):
    pytest.importorskip("tensorflow")
    pytest.importorskip("openvino")
    training = ("--minutes", "0.05", "--filters", "4", "8")
    measured = measure_fast(data=str(disc_folder), training=training, turns=2, turn=3)
    for name in ("keras", "session"):
        assert [len(turn) for turn in measured[name]["latency_ns"]] == [3, 3]
        assert set(measured[name]["dice"]) == {"foreground", "per_image_foreground"}
    assert measured["session"]["info"]["backend"] in ("openvino", "onnxruntime")


def test_data_that_is_not_there_is_said(tmp_path):
    with pytest.raises(CheckFailed, match="The job fast train .* failed: got .*nowhere"):
        measure_fast(data=str(tmp_path / "nowhere"), training=(), turns=1)
