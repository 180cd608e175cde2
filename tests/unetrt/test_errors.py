import pytest

from unetrt import errors


def test_an_error_is_one_sentence_with_what_got_expected_and_next_step():
    error = errors.DataError("Cannot use it", got=3, expected="4", hint="try again")
    assert str(error) == "Cannot use it: got 3, expected 4; try again."


def test_missing_dependency_names_the_extra_that_brings_it():
    error = errors.MissingDependency("onnxruntime", extra="cpu", purpose="Running an ONNX file")
    assert "pip install 'unetrt[cpu]'" in str(error)


@pytest.mark.parametrize("name", errors.__all__)
def test_exit_status_is_2_for_bad_input_and_1_for_a_failed_check(name):
    kind = getattr(errors, name)
    assert kind.exit_status == (2 if issubclass(kind, errors.BadInput) else 1)
