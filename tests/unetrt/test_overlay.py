import numpy as np

from unetrt.data import IGNORED
from unetrt.data.writing import overlay, panels

IMAGE = np.arange(12, dtype=np.uint16).reshape(3, 4, 1) * 1000


def test_classes_tint_their_pixels_and_no_others():
    label = np.zeros((3, 4), np.uint8)
    label[0, 0], label[1, 1], label[2, 2] = 1, 2, IGNORED
    plain, tinted = overlay(IMAGE), overlay(IMAGE, label)
    changed = (plain != tinted).any(axis=-1)
    assert changed.tolist() == ((label > 0) & (label != IGNORED)).tolist()
    assert (tinted[0, 0] != tinted[1, 1]).any()


def test_three_pictures_stand_side_by_side():
    label = np.ones((3, 4), np.uint8)
    assert panels(IMAGE, label, label).shape == (3, 3 * 4 + 2 * 4, 3)
