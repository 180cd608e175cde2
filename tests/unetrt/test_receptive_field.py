import pytest

from unetrt.sizes import ReceptiveField


@pytest.mark.parametrize(
    "field", [ReceptiveField((1, 2), (3, 4), (8, 16)), ReceptiveField.unknown()]
)
def test_what_is_written_reads_back(field):
    assert ReceptiveField.from_json(field.to_json()) == field


@pytest.mark.parametrize(
    "change", [{"before": [1]}, {"after": [1, -2]}, {"stride": [0, 1]}, {"stride": ["x", 1]}]
)
def test_other_numbers_are_refused(change):
    with pytest.raises(ValueError, match=r"receptive field|invalid literal"):
        ReceptiveField.from_json(ReceptiveField().to_json() | change)


def test_only_a_named_layer_makes_it_unbounded():
    assert ReceptiveField().is_bounded
    assert not ReceptiveField.unknown().is_bounded
