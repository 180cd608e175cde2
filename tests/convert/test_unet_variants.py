"""Convert every kind of U-Net that a spec can describe: to ONNX, to FP16, to an engine."""

import numpy as np
import onnx
import pytest

from unetrt.builder.spec import UNetSpec
from unetrt.sizes import SizeRule

pytestmark = pytest.mark.tf

UNPADDED = {"padding": "valid", "upsampling_kernel": 2}
SCALED = {"pixel_mean": 100.0, "pixel_std": 20.0}

VARIANTS = {
    "no normalisation": {},
    "batch normalisation": {"normalization": "batch"},
    "group normalisation": {"normalization": "group", "groups": 4},
    "leaky_relu": {"activation": "leaky_relu"},
    "elu": {"activation": "elu"},
    "gelu": {"activation": "gelu"},
    "silu": {"activation": "silu"},
    "residual": {"residual": True, "normalization": "batch"},
    "attention": {"attention": True},
    "nearest": {"upsampling": "nearest"},
    "bilinear": {"upsampling": "bilinear"},
    "sigmoid": {"head": "sigmoid"},
    "large kernels": {"kernel_size": 5},
    "six levels": {"filters": (4,) * 6},
    "static": {"shape": (32, 48, 1)},
    "normalised pixels": SCALED | {"pixel_range": (20.0, 230.0)},
    "mixed_float16": {"dtype_policy": "mixed_float16", "normalization": "batch"}
    | SCALED
    | {"pixel_range": (20.0, 230.0)},
    "mixed_bfloat16": {"dtype_policy": "mixed_bfloat16"},
    "unpadded": UNPADDED,
    "unpadded static": UNPADDED | {"shape": (60, 76, 1)},
    "unpadded residual attention": UNPADDED | {"residual": True, "attention": True},
    "all at once": {
        "residual": True,
        "attention": True,
        "normalization": "group",
        "activation": "silu",
        "upsampling": "bilinear",
        "head": "sigmoid",
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_survives_the_whole_road(keras, tmp_path, name):
    from unetrt.builder import build_unet
    from unetrt.convert.precision import to_precision
    from unetrt.convert.to_engine import EngineSpec, build_engine
    from unetrt.convert.to_onnx import export_onnx
    from unetrt.keras_models import in_full_precision
    from unetrt.runtime import open_session
    from unetrt.tensors import ShapeRange

    spec = UNetSpec(
        **({"shape": (None, None, 1), "n_classes": 3, "filters": (4, 8), "bottleneck": 16}
           | {"dropout": 0.1} | VARIANTS[name])
    )  # fmt: skip
    model = build_unet(spec)
    fp32 = export_onnx(model, tmp_path / "m.onnx")
    free = fp32.inputs[0].shape[1:3] == ("height", "width")
    assert free or spec.shape[0] is not None
    assert fp32.sizes == (spec.sizes if free else SizeRule(margin=spec.sizes.margin))
    height, width = spec.shape[:2] if spec.shape[0] else map(spec.sizes.at_least, (64, 96))

    names = {node.name for node in onnx.load(fp32.path).graph.node}
    assert {"down1/conv1", "down2/conv2", "bottleneck/conv1", "up1/conv2", "logits"} <= names

    image = np.random.default_rng(0).uniform(0, 255 if "pixel_mean" in VARIANTS[name] else 1,
                                             (1, height, width, 1)).astype(np.float32)  # fmt: skip
    with open_session(fp32) as session:
        assert (
            np.abs(session.run(image) - in_full_precision(model).predict_on_batch(image)).max()
            < 1e-4
        )
        if free:
            assert session.segment(image[0, :21, :30]).shape == (21, 30)

    fp16 = to_precision(fp32, tmp_path / "m.fp16.onnx")
    sizes = {"height": ShapeRange(height, height, height), "width": ShapeRange(width, width, width)}
    engine = build_engine(
        fp16, tmp_path / "m.engine", EngineSpec(backend="tensorrt-rtx", **sizes if free else {})
    )
    assert engine.receipt.convolution_share == {"fp16": 1.0}
