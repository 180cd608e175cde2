import pytest

from unetrt.errors import ArtifactError, UnsupportedModel
from unetrt.sizes import SizeRule

pytestmark = pytest.mark.tf


@pytest.mark.parametrize(("strides", "multiple"), [((), 1), ((2,), 2), ((2, 2), 4), ((4,), 4)])
def test_strided_convolutions_count(keras, strides, multiple):
    from unetrt.keras_models import size_rule

    x = inputs = keras.Input((None, None, 1))
    for stride in strides:
        x = keras.layers.Conv2D(2, 3, strides=stride, padding="same")(x)
    for stride in strides:
        x = keras.layers.Conv2DTranspose(2, 3, strides=stride, padding="same")(x)
    assert size_rule(keras.Model(inputs, x)) == SizeRule(multiple)


def test_an_unpadded_network_loses_a_margin(keras):
    from unetrt.keras_models import size_rule

    x = keras.Input((None, None, 1))
    assert size_rule(keras.Model(x, keras.layers.Conv2D(2, 3)(x))) == SizeRule(margin=1)
    y = keras.Input((20, 30, 1))
    assert size_rule(keras.Model(y, keras.layers.Conv2D(2, 5)(y))) == SizeRule(margin=2)


@pytest.mark.parametrize("options", [{"strides": 2, "padding": "same"}, {"kernel_size": 2}])
def test_an_output_at_half_the_size_or_off_the_middle_has_no_rule(keras, options):
    from unetrt.keras_models import size_rule

    x = keras.Input((None, None, 1))
    model = keras.Model(x, keras.layers.Conv2D(2, **({"kernel_size": 3} | options))(x))
    with pytest.raises(UnsupportedModel, match="smaller by the same margin at every edge"):
        size_rule(model)


def saved(tmp_path, model):
    model.save(tmp_path / "theirs.keras")
    return tmp_path / "theirs.keras"


def head(keras, channels):
    x = keras.Input((None, None, 1))
    return keras.Model(x, keras.layers.Conv2D(channels, 1)(x))


def test_a_model_from_elsewhere_has_numbered_classes(keras, tmp_path):
    from unetrt.keras_models import load_model

    _, file = load_model(saved(tmp_path, head(keras, 3)))
    assert file.classes == ("background", "class1", "class2")


def test_a_single_output_channel_is_refused_and_told_the_way_out(keras, tmp_path):
    from unetrt.keras_models import load_model

    with pytest.raises(UnsupportedModel, match="got one output channel.*for a sigmoid head"):
        load_model(saved(tmp_path, head(keras, 1)))


def test_a_classifier_and_two_outputs_are_refused(keras, tmp_path):
    from unetrt.keras_models import load_model

    x = keras.Input((8, 8, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    with pytest.raises(UnsupportedModel, match=r"an output of shape \(None, 1\)"):
        load_model(saved(tmp_path, keras.Model(x, pooled)))
    two = keras.Model(x, [keras.layers.Conv2D(2, 1)(x), keras.layers.Conv2D(2, 1)(x)])
    with pytest.raises(UnsupportedModel, match="1 inputs and 2 outputs"):
        load_model(saved(tmp_path, two))


def test_a_damaged_file_is_refused(keras, tmp_path):
    from unetrt.keras_models import load_model

    path = saved(tmp_path, head(keras, 2))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="expected a whole Keras model"):
        load_model(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_layer_that_is_not_keras_own_is_named(keras, tmp_path, suffix):
    from unetrt.keras_models import read_model

    class Mine(keras.layers.Layer):
        def call(self, x):
            return x

    x = keras.Input((8, 8, 1))
    path = tmp_path / f"m{suffix}"
    keras.Model(x, Mine(name="my_layer")(x)).save(path)
    with pytest.raises(ArtifactError, match="layer 'my_layer' of class Mine, which is not one of"):
        read_model(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_code_of_a_lambda_is_not_run(keras, tmp_path, suffix):
    from unetrt.keras_models import read_model

    x = keras.Input((8, 8, 1))
    path = tmp_path / f"m{suffix}"
    keras.Model(x, keras.layers.Lambda(lambda t: t + 1, name="sly")(x)).save(path)
    with pytest.raises(ArtifactError, match="layer 'sly' of class Lambda, whose code would have"):
        read_model(path)


def test_the_older_format_is_read(keras, tmp_path):
    from unetrt.keras_models import load_model

    model = head(keras, 2)
    model.save(tmp_path / "m.h5")
    again, file = load_model(tmp_path / "m.h5")
    assert file.classes == ("background", "class1")
    assert again.output_shape == model.output_shape
