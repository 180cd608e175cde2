"""Windows of a mirrored image are those of the image mirrored out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unetrt.runtime.image_io import mirrored_window
from unetrt.sizes import mirrored_to_size

side = st.integers(1, 9)


@given(height=side, width=side, margin=st.integers(0, 30), more=st.integers(0, 30), data=st.data())
def test_a_window_is_a_part_of_the_image_mirrored_out(height, width, margin, more, data):
    image = np.arange(height * width * 2).reshape(height, width, 2)
    whole = mirrored_to_size(
        image, height + 2 * margin + more, width + 2 * margin + more, margin=margin
    )
    top, left = (data.draw(st.integers(0, n - 1)) for n in whole.shape[:2])
    tall, wide = (
        data.draw(st.integers(1, n - at))
        for n, at in zip(whole.shape[:2], (top, left), strict=True)
    )
    np.testing.assert_array_equal(
        mirrored_window(image, top - margin, left - margin, tall, wide),
        whole[top : top + tall, left : left + wide],
    )
