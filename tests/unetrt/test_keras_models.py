import pytest

from unetrt.errors import UnsupportedModel
from unetrt.sizes import SizeRule

pytestmark = pytest.mark.tf


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    return vendor.keras()


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
