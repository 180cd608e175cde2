"""Take integers, and compute the same."""

import numpy as np
import onnx_ir as ir
import pytest

from tests.convert.graphs import classifier, operators, run
from unetrt.convert.passes.integer_input import IntegerInput
from unetrt.errors import BadInput


def test_integer_input_takes_bytes_and_computes_the_same():
    model = classifier()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 5, 2), np.uint8)
    before = run(model, {"x": pixels.astype(np.float32)})
    IntegerInput(ir.DataType.UINT8)(model)
    assert operators(model) == ["Cast", "Transpose", "Conv", "Transpose", "Softmax"]
    np.testing.assert_array_equal(run(model, {"x": pixels}), before)


def test_pixels_of_another_integer_type_are_refused():
    model = classifier()
    IntegerInput(ir.DataType.UINT8)(model)
    with pytest.raises(BadInput, match="got uint8, expected float32, to be given as uint16"):
        IntegerInput(ir.DataType.UINT16)(model)
