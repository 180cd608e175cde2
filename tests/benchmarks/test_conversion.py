import json
from pathlib import Path

import pytest

from unetrt.benchmarks import conversion
from unetrt.benchmarks.conversion import NODES, Plan, judge, measure_conversion
from unetrt.benchmarks.processes import ChildResult
from unetrt.errors import CheckFailed

GIB = 2**30


def run_of(exporter, seconds, gib, difference=1e-7, nodes=None):
    return {
        "exporter": exporter,
        "side": None,
        "seconds": seconds,
        "cpu_seconds": seconds,
        "peak_rss_bytes": int(gib * GIB),
        "difference": difference,
        "nodes": {**NODES, "Transpose": 2} if nodes is None else nodes,
    }


def results(own=None, theirs=None, engine_s=1.0):
    return {
        "runs": [own or run_of("unetrt", 3.0, 1.5), theirs or run_of("keras", 27.0, 8.0)],
        "engines": {name: {"seconds": [engine_s]} for name in ("fp32", "fp16")},
    }


def missed(measured):
    return [v.promise for v in judge(measured, (None,)) if not v.kept]


def test_figures_that_keep_every_promise_miss_none():
    verdicts = judge(results(), (None,))
    assert len(verdicts) == 6
    assert all(verdict.kept for verdict in verdicts)
    assert "9.0 times" in verdicts[0].measured


@pytest.mark.parametrize(
    ("measured", "promise"),
    [
        (results(own=run_of("unetrt", 4.0, 1.5)), "faster"),
        (results(own=run_of("unetrt", 3.0, 4.1)), "memory"),
        (results(own=run_of("unetrt", 3.0, 1.5, difference=2e-5)), "outputs"),
        (results(own=run_of("unetrt", 3.0, 1.5, difference=float("nan"))), "outputs"),
        (results(own=run_of("unetrt", 3.0, 1.5, nodes={**NODES, "Transpose": 3})), "nodes"),
        (results(own=run_of("unetrt", 3.0, 1.5, nodes={**NODES, "Shape": 1})), "nodes"),
    ],
)
def test_a_promise_that_is_missed_is_named(measured, promise):
    (named,) = missed(measured)
    assert promise in named


def test_slow_engines_are_missed_each_by_itself():
    assert missed(results(engine_s=2.1)) == [
        "engine in fp32: at most 2 s",
        "engine in fp16: at most 2 s",
    ]


def test_a_child_that_fails_stops_the_benchmark_with_its_words(monkeypatch):
    failed = ChildResult({}, "out of memory")
    monkeypatch.setattr(conversion, "run_child", lambda *_given: failed)
    with pytest.raises(CheckFailed, match=r"The job export .*article failed: got out of memory"):
        measure_conversion(Plan(sides=(None,), repeats=1))


def in_this_process(module, arguments, folder, _timeout_s):
    """Run a child's work here, where TensorFlow is already loaded."""
    from unetrt.artifacts import OnnxModel
    from unetrt.benchmarks.jobs import engines, export

    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if module.endswith(".export"):
        found = export.run(options["--exporter"], options["--network"], None, folder)
    else:
        model = OnnxModel.load(Path(options["--onnx"]))
        found = engines.run(model, folder, int(options["--repeats"]))
    return ChildResult(found, None)


@pytest.mark.tf
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")  # Keras' exporter
def test_a_tiny_network_goes_all_the_way(tmp_path, monkeypatch, capsys):
    for module in ("tensorflow", "tensorrt_rtx", "onnxruntime"):
        pytest.importorskip(module)
    monkeypatch.setattr(conversion, "run_child", in_this_process)
    tiny = Plan(network="tiny", sides=(None,), repeats=1)
    monkeypatch.setattr(conversion, "Plan", lambda **_options: tiny)
    out = tmp_path / "conversion.json"
    monkeypatch.setattr("sys.argv", ["conversion", "--out", str(out)])
    assert conversion.main() == 1  # it is not the article's network
    written = json.loads(out.read_text())
    assert [run["exporter"] for run in written["runs"]] == ["unetrt", "keras"]
    for run in written["runs"]:
        assert run["difference"] < 1e-5
        assert run["peak_rss_bytes"] >= run["rss_before_bytes"] > 0
        assert run["seconds"] > 0
    assert written["engines"]["fp16"]["convolution_share"] == {"fp16": 1.0}
    said = capsys.readouterr().out
    assert "ok     free size: both files give Keras' outputs" in said
    assert "MISSED nodes: 23 Conv" in said
