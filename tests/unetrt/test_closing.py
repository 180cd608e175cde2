import pytest

from unetrt.files import Closing


class Door(Closing):
    closed = False

    def close(self):
        self.closed = True


def test_the_block_gives_it_and_closes_it_even_after_an_error():
    door = Door()
    with pytest.raises(ValueError, match="draught"), door as entered:
        assert entered is door
        raise ValueError("draught")
    assert door.closed


def test_a_class_without_a_close_is_a_mistake():
    with pytest.raises(TypeError, match="Closing has nothing to close"), Closing():
        pass
