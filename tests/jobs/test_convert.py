"""The second job: a model in, ONNX in the precision asked for out."""

import json

import numpy as np
import pytest

from tests.jobs.command_line import run_cli
from tests.jobs.predictions import label_maps
from tests.jobs.snapshot import check_snapshot

pytestmark = pytest.mark.tf

GOLDEN = ("golden.*.data",)
KINDS = ("fp32", "fp16", "int8", "labels")


@pytest.fixture(params=KINDS)
def converted(request):
    return request.param, request.getfixturevalue(request.param)


def test_what_is_printed_and_what_is_stored(converted):
    kind, made = converted
    check_snapshot(f"convert.{kind}", made.printed)
    check_snapshot(f"model.{kind}.onnx.sidecar", made.sidecar, unknown=GOLDEN)
    assert made.printed["sha256"] == made.sidecar["sha256"]


def test_the_weights_are_stored_in_the_type_asked_for(fp32, fp16, int8):
    import onnx

    def types(made):
        weights = onnx.load(made.path).graph.initializer
        return {onnx.TensorProto.DataType.Name(one.data_type) for one in weights if one.dims}

    assert "FLOAT16" not in types(fp32)
    assert "FLOAT16" in types(fp16)
    assert "INT8" in types(int8)


def test_every_form_of_it_finds_the_same_labels(fp32, converted, data, tmp_path):
    kind, made = converted
    own = label_maps(made.path, data, tmp_path / "own")
    right = label_maps(fp32.path, data, tmp_path / "right")
    assert {0, 1} == set(np.unique(right))
    least = {"fp32": 1, "labels": 1, "fp16": 0.999, "int8": 0.97}[kind]
    assert (own == right).mean() >= least


def test_int8_without_images_is_refused_and_leaves_nothing(fp32, tmp_path):
    words = ("--out", tmp_path / "m.onnx", "--precision", "int8", "--json")
    run = run_cli("convert", fp32.path, *words)
    assert "--data" in run.refusal(2)
    assert not list(tmp_path.iterdir())
    check_snapshot("convert.refused", json.loads(run.stdout), unknown=["error"])
