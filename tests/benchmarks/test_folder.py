import pytest

from tests.conftest import write_folder
from unetrt.benchmarks.folder import judge, measure_folder


def results(memory=(1.0, 2.0, 1.1), files=(1.1, 2.2, 1.2), device="CPU"):
    return {
        "images": 100,
        "session": {"backend": "onnxruntime", "device": device},
        "seconds": {"memory": list(memory), "files": list(files)},
        "cpu_seconds": {"memory": [4.0, 4.0, 4.0], "files": [5.0, 5.0, 5.0]},
    }


def test_each_pass_is_held_against_the_one_beside_it():
    (verdict,) = judge(results())
    assert verdict.kept
    assert verdict.measured.startswith("0.909 (83.3 against 90.9 images per second")
    assert verdict.measured.endswith("of the CPU time 0.800)")


@pytest.mark.parametrize(
    ("measured", "kept"),
    [
        (results(files=(1.2, 2.4, 1.3)), False),
        (results(device="CUDA"), False),  # a GPU leaves the cores to the files
        (results(files=(1.04, 2.08, 1.15), device="CUDA"), True),
    ],
)
def test_what_is_promised_is_less_where_the_network_needs_the_cores(measured, kept):
    assert [verdict.kept for verdict in judge(measured)] == [kept]


@pytest.mark.tf
def test_a_small_folder_is_segmented_both_ways(road, tmp_path):
    images = write_folder(tmp_path / "discs") / "images"
    measured = measure_folder(road / "model.fp32.onnx", images, repeats=2, backend="onnxruntime")
    assert measured["images"] == 6
    assert {len(taken) for taken in measured["seconds"].values()} == {2}
    assert len(judge(measured)) == 1
