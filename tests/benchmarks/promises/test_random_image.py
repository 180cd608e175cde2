from pathlib import Path

import numpy as np
import pytest

from unetrt.artifacts import OnnxModel
from unetrt.benchmarks.promises.random_image import random_image
from unetrt.tensors import TensorSpec


@pytest.mark.parametrize(
    ("layout", "shape", "expected"),
    [
        ("NHWC", ("batch", "height", "width", 3), (1, 32, 32, 3)),
        ("NCHW", ("batch", 1, "height", "width"), (1, 1, 32, 32)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_an_image_fits_the_input(layout, shape, expected, dtype):
    network = OnnxModel(
        Path("model.onnx"),
        sha256="",
        inputs=(TensorSpec("image", dtype, shape, layout),),
        outputs=(TensorSpec("labels", "uint8", ("batch", "height", "width")),),
    )
    image = random_image(network, 32)
    assert (image.shape, image.dtype) == (expected, dtype)
    assert 0 <= image.min() < 100 < image.max() <= 255
    np.testing.assert_array_equal(image, random_image(network, 32))
    assert (image != random_image(network, 32, seed=1)).any()
