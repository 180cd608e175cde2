import pytest

from unetrt.errors import ArtifactError, UnsupportedModel

pytestmark = pytest.mark.tf


def saved(tmp_path, model):
    model.save(tmp_path / "theirs.keras")
    return tmp_path / "theirs.keras"


def head(keras, channels):
    x = keras.Input((None, None, 1))
    return keras.Model(x, keras.layers.Conv2D(channels, 1)(x))


def test_a_model_from_elsewhere_has_numbered_classes(keras, tmp_path):
    from unetrt.builder import load_model

    _, file = load_model(saved(tmp_path, head(keras, 3)))
    assert file.classes == ("background", "class1", "class2")


def test_a_single_output_channel_is_refused_and_told_the_way_out(keras, tmp_path):
    from unetrt.builder import load_model

    with pytest.raises(UnsupportedModel, match="got one output channel.*for a sigmoid head"):
        load_model(saved(tmp_path, head(keras, 1)))


def test_a_classifier_and_two_outputs_are_refused(keras, tmp_path):
    from unetrt.builder import load_model

    x = keras.Input((8, 8, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(x)
    with pytest.raises(UnsupportedModel, match=r"an output of shape \(None, 1\)"):
        load_model(saved(tmp_path, keras.Model(x, pooled)))
    two = keras.Model(x, [keras.layers.Conv2D(2, 1)(x), keras.layers.Conv2D(2, 1)(x)])
    with pytest.raises(UnsupportedModel, match="1 inputs and 2 outputs"):
        load_model(saved(tmp_path, two))


def test_a_damaged_file_is_refused(keras, tmp_path):
    from unetrt.builder import load_model

    path = saved(tmp_path, head(keras, 2))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="expected a whole Keras model"):
        load_model(path)


@pytest.mark.parametrize(("strides", "multiple"), [((), 1), ((2,), 2), ((2, 2), 4)])
def test_the_size_multiple_counts_strided_convolutions_too(keras, strides, multiple):
    from unetrt.builder import size_multiple

    x = inputs = keras.Input((None, None, 1))
    for stride in strides:
        x = keras.layers.Conv2D(2, 3, strides=stride, padding="same")(x)
    for stride in strides:
        x = keras.layers.Conv2DTranspose(2, 3, strides=stride, padding="same")(x)
    assert size_multiple(keras.Model(inputs, x)) == multiple


def test_an_unpadded_network_has_no_size_it_gives_back(keras):
    from unetrt.builder import size_multiple

    x = keras.Input((None, None, 1))
    with pytest.raises(UnsupportedModel, match="a map as large as the image"):
        size_multiple(keras.Model(x, keras.layers.Conv2D(2, 3)(x)))
