"""Convert SavedModels: the same outputs as of the Keras model they were exported from."""

import numpy as np
import pytest

from tests.convert.graphs import agree, nodes_of, pixels
from unetrt.errors import ArtifactError, UnsupportedModel

pytestmark = pytest.mark.tf


@pytest.fixture
def exported(two_headed, tmp_path):
    """A Keras model and the folder it was exported to."""
    two_headed.export(str(tmp_path / "two_headed"), verbose=False)
    return two_headed, tmp_path / "two_headed"


def test_a_saved_model_converts_like_the_model_it_came_from(exported, tmp_path):
    import onnx

    from unetrt.convert.saved_model import read_saved_model
    from unetrt.convert.to_onnx import export_onnx

    model, folder = exported
    source, origin = read_saved_model(folder)
    made = export_onnx(source, tmp_path / "m.onnx", origin=origin)
    assert nodes_of(made.path)["Conv"] == 3
    assert "BatchNormalization" not in nodes_of(made.path)
    assert made.inputs[0].shape[1:3] == ("height", "width")
    assert made.source["file"] == "two_headed"
    assert "encoder/conv" in {node.name for node in onnx.load(made.path).graph.node}
    agree(model, made, {"image": pixels(2, 9, 12, 1), "m": pixels(2, 9, 12, 2)}, atol=1e-3)


def test_a_folder_without_a_model_is_refused(keras, tmp_path):
    from unetrt.convert.saved_model import read_saved_model

    with pytest.raises(ArtifactError, match=r"a folder without saved_model\.pb"):
        read_saved_model(tmp_path)


def test_a_truncated_saved_model_is_refused(keras, exported, tmp_path):
    from unetrt.convert.saved_model import read_saved_model

    content = (exported[1] / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match="expected a whole SavedModel"):
        read_saved_model(tmp_path)


def test_an_operation_that_reads_files_is_refused_before_anything_is_loaded(keras, tmp_path):
    import tensorflow as tf

    from unetrt.convert.saved_model import read_saved_model

    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x + tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), x.dtype)}

    module = Reader()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    with pytest.raises(UnsupportedModel, match="acts outside of the model: ReadFile"):
        read_saved_model(tmp_path)


def test_a_table_is_refused(keras, tmp_path):
    import tensorflow as tf

    from unetrt.convert.saved_model import read_saved_model

    class Lookup(tf.Module):
        def __init__(self):
            super().__init__()
            pairs = tf.lookup.KeyValueTensorInitializer(np.arange(3), np.arange(3) * 2)
            self.table = tf.lookup.StaticHashTable(pairs, 0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="x")])
        def __call__(self, x):
            return {"y": self.table.lookup(x)}

    module = Lookup()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    with pytest.raises(UnsupportedModel, match="captured resources that are not variables"):
        read_saved_model(tmp_path)


def test_an_input_of_unknown_rank_is_refused(keras, tmp_path):
    import tensorflow as tf

    from unetrt.convert.saved_model import read_saved_model

    class Any(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
        def __call__(self, x):
            return {"y": x + 1}

    module = Any()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    with pytest.raises(UnsupportedModel, match="an input 'x' of unknown rank"):
        read_saved_model(tmp_path)


def test_half_precision_inside_is_refused_and_leaves_no_file(keras, tmp_path):
    from unetrt.convert.saved_model import read_saved_model
    from unetrt.convert.to_onnx import export_onnx

    inputs = keras.Input((8, 8, 1), name="image")
    head = keras.layers.Conv2D(2, 1, dtype="mixed_float16", name="half_head")
    keras.Model(inputs, head(inputs)).export(str(tmp_path / "saved"), verbose=False)
    source, origin = read_saved_model(tmp_path / "saved")
    with pytest.raises(UnsupportedModel, match="which computes in half precision"):
        export_onnx(source, tmp_path / "m.onnx", origin=origin)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
