"""A U-Net of one level as an ONNX file, made without TensorFlow."""

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from unetrt.artifacts import OnnxModel
from unetrt.convert.onnx_file import write_onnx
from unetrt.sizes import SizeRule
from unetrt.tensors import TensorSpec

SIDE = 32


def tiny_unet(path, *, extra_node=None, flat=False, free=False):
    """Named as the builder's layers are; `extra_node` stands before the softmax.

    With `free`, of any height and width, and with a sidecar that tells its receptive field.
    """
    random = np.random.default_rng(0)
    weights = {}

    def layer(name, source, shape, kind="Conv", **attributes):
        out = shape[1] if kind == "ConvTranspose" else shape[0]
        fan_in = np.prod(shape) / out
        scale = 0 if flat else (2 / fan_in) ** 0.5 / (100 if "down1/conv1" in name else 1)
        weights[f"{name}/kernel"] = (random.normal(size=shape) * scale).astype(np.float32)
        weights[f"{name}/bias"] = (random.normal(size=out) * scale).astype(np.float32)
        inputs = [source, f"{name}/kernel", f"{name}/bias"]
        kernel = {"kernel_shape": shape[2:]}
        return helper.make_node(kind, inputs, [name], name=name, **kernel, **attributes)

    def relu(source):
        return helper.make_node("Relu", [source], [f"{source}/relu"])

    same = {"pads": [1, 1, 1, 1]}
    last = "logits" if extra_node is None else "extra"
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        layer("down1/conv1", "nchw", (4, 1, 3, 3), **same),
        relu("down1/conv1"),
        layer("down1/conv2", "down1/conv1/relu", (4, 4, 3, 3), **same),
        relu("down1/conv2"),
        helper.make_node(
            "MaxPool", ["down1/conv2/relu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]
        ),
        layer("bottleneck/conv1", "pool", (8, 4, 3, 3), **same),
        relu("bottleneck/conv1"),
        layer("bottleneck/conv2", "bottleneck/conv1/relu", (8, 8, 3, 3), **same),
        relu("bottleneck/conv2"),
        layer(
            "up1/upconv", "bottleneck/conv2/relu", (8, 4, 3, 3), "ConvTranspose",
            strides=[2, 2], pads=[0, 0, 1, 1],
        ),
        helper.make_node("Concat", ["up1/upconv", "down1/conv2/relu"], ["concat"], axis=1),
        layer("up1/conv1", "concat", (4, 8, 3, 3), **same),
        relu("up1/conv1"),
        layer("up1/conv2", "up1/conv1/relu", (4, 4, 3, 3), **same),
        relu("up1/conv2"),
        layer("logits", "up1/conv2/relu", (2, 4, 1, 1)),
        *([] if extra_node is None else [helper.make_node(extra_node, ["logits"], ["extra"])]),
        helper.make_node("Softmax", [last], ["softmax"], axis=1),
        helper.make_node("Transpose", ["softmax"], ["probabilities"], perm=[0, 2, 3, 1]),
    ]  # fmt: skip
    size = ("batch", "height", "width") if free else (1, SIDE, SIDE)
    ends = {"image": (*size, 1), "probabilities": (*size, 2)}
    image, output = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in ends.items()
    )
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "tiny", [image], [output], constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(proto, full_check=True)
    if free:
        return write_onnx(
            ir.serde.deserialize_model(proto),
            path,
            classes=("background", "disc"),
            sizes=SizeRule(2),
            source={},
            made_with={},
        )
    image, output = (TensorSpec(name, "float32", shape) for name, shape in ends.items())
    return OnnxModel.write(
        path,
        lambda file: file.write_bytes(proto.SerializeToString()),
        inputs=(image,),
        outputs=(output,),
    )


def an_image():
    return np.random.default_rng(1).uniform(0, 255, (1, SIDE, SIDE, 1)).astype(np.float32)
