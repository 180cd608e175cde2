"""Tell truly whether a pass changed a graph."""

import onnx_ir as ir
import pytest

from tests.convert.graphs import make, model_of, operators
from unetrt.convert.passes.bind_weights import BindWeights
from unetrt.convert.passes.edges_to_nchw import EdgesToNchw
from unetrt.convert.passes.fold_affine import FoldAffine
from unetrt.convert.passes.fold_constants import FoldConstants
from unetrt.convert.passes.free_axes import NameBatch
from unetrt.convert.passes.integer_input import IntegerInput
from unetrt.convert.passes.keep_reduced_axes import KeepReducedAxes
from unetrt.convert.passes.quantize import Quantize
from unetrt.convert.passes.reshape_to_transpose import ReshapeToTranspose
from unetrt.convert.passes.round_bfloat16 import RoundBfloat16
from unetrt.convert.passes.sink_transpose import SinkTranspose
from unetrt.convert.passes.to_half import ToHalf

IDLE = [
    BindWeights({}),
    EdgesToNchw(),
    FoldAffine(),
    FoldConstants(),
    IntegerInput(ir.DataType.UINT8),
    KeepReducedAxes(),
    NameBatch(),
    Quantize({}),
    ReshapeToTranspose(),
    RoundBfloat16(),
    SinkTranspose(),
    ToHalf(),
]


@pytest.mark.parametrize("idle", IDLE, ids=lambda one: type(one).__name__)
def test_a_pass_with_nothing_to_do_says_so(idle):
    model = model_of([make("Relu", ["x"], ["y"])], {"x": [1]}, {"y": [1]})
    assert not idle(model).modified
    assert operators(model) == ["Relu"]
