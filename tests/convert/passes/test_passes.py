"""Tell truly whether a pass changed a graph."""

import onnx_ir as ir
import pytest

from tests.convert.graphs import make, model_of, operators
from unetrt.convert import passes

IDLE = [
    passes.BindWeights({}),
    passes.EdgesToNchw(),
    passes.FoldAffine(),
    passes.FoldConstants(),
    passes.IntegerInput(ir.DataType.UINT8),
    passes.KeepReducedAxes(),
    passes.NameBatch(),
    passes.Quantize({}),
    passes.ReshapeToTranspose(),
    passes.RoundBfloat16(),
    passes.SinkTranspose(),
    passes.ToHalf(),
]


@pytest.mark.parametrize("idle", IDLE, ids=lambda one: type(one).__name__)
def test_a_pass_with_nothing_to_do_says_so(idle):
    model = model_of([make("Relu", ["x"], ["y"])], {"x": [1]}, {"y": [1]})
    assert not idle(model).modified
    assert operators(model) == ["Relu"]
