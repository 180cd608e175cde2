"""Time networks whose pixels are normalised: agreement first, on images as they are stored."""

from dataclasses import replace

import numpy as np
import pytest

import unetrt
from unetrt.benchmarks import MeasureSpec
from unetrt.errors import BadInput

pytestmark = pytest.mark.tf

QUICK = {
    "measure": MeasureSpec(samples=5),
    "session": unetrt.SessionSpec(backend="onnxruntime"),
}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("stored", [np.uint8, np.float32])
def test_keras_and_onnx_agree_from_stored_images_to_labels(normalizing, discs, batch, stored):
    scale = 1 if stored is np.uint8 else 3e-3
    samples = tuple(replace(s, image=(s.image * scale).astype(stored)) for s in discs.test)
    data = replace(discs, test=samples)
    files = [normalizing / "model.fp32.onnx", normalizing / "model.keras"]
    record = unetrt.bench(files, unetrt.BenchSpec(batch=batch, **QUICK), data=data)
    assert {row.scope for row in record.rows} == {"core", "end_to_end"}
    for row in record.rows:
        assert row.parity["reference"] == "model.fp32.onnx"
        assert row.parity["labels_that_differ"] <= 0.001


def test_random_images_are_normalised_too(normalizing):
    files = [normalizing / f"model.{precision}.onnx" for precision in ("fp32", "fp16")]
    record = unetrt.bench(files, unetrt.BenchSpec(size=(32, 48), **QUICK))
    core = [row.parity["max_abs_diff"] for row in record.rows if row.scope == "core"]
    assert 0 < core[1] < 0.01


def test_networks_on_different_scales_are_not_timed_together(normalizing, road):
    files = [normalizing / "model.fp32.onnx", road / "model.fp32.onnx"]
    with pytest.raises(BadInput, match="different scales cannot be compared"):
        unetrt.bench(files, unetrt.BenchSpec(size=(32, 48), **QUICK))
