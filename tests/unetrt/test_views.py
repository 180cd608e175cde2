"""Average over mirrors and turns: what turns with the image stays, what does not is averaged."""

import numpy as np
import pytest

from unetrt.views import mean_over_views, view_count

X = np.random.default_rng(0).normal(size=(2, 6, 6, 1)).astype(np.float32)


def pixelwise(x):
    return np.concatenate([np.tanh(x), x**2], axis=-1)


def lopsided(x):
    """Predict by what lies above and to the left of a pixel."""
    return np.cumsum(np.cumsum(x, axis=1) ** 2, axis=2)


def test_a_network_that_turns_with_its_image_gains_nothing():
    np.testing.assert_allclose(mean_over_views(pixelwise, X), pixelwise(X), rtol=1e-6)


@pytest.mark.parametrize(
    "turned",
    [
        lambda x: x[:, ::-1],
        lambda x: x[:, :, ::-1],
        lambda x: np.rot90(x, 1, (1, 2)),
        lambda x: np.rot90(x, 3, (1, 2))[:, ::-1],
    ],
)
def test_the_prediction_of_a_turned_image_is_the_prediction_turned(turned):
    np.testing.assert_allclose(
        mean_over_views(lopsided, turned(X)), turned(mean_over_views(lopsided, X)), rtol=1e-4
    )


def test_an_oblong_image_is_not_laid_on_its_side_where_the_network_takes_it_upright():
    oblong = X[:, :4]
    seen = set()

    def upright(x):
        seen.add(x.shape)
        return lopsided(x)

    prediction = mean_over_views(upright, oblong, turns=False)
    assert seen == {oblong.shape}
    turned = mean_over_views(upright, oblong[:, ::-1], turns=False)
    np.testing.assert_allclose(turned, prediction[:, ::-1], rtol=1e-4)


@pytest.mark.parametrize("turns", [True, False])
def test_as_many_views_are_seen_as_are_counted(turns):
    seen = []
    mean_over_views(lambda x: seen.append(x.tobytes()) or x, X, turns=turns)
    assert len(set(seen)) == len(seen) == view_count(turns=turns)
