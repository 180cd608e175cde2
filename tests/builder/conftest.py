import pytest


@pytest.fixture(scope="session")
def keras():
    """Keras on TensorFlow; the test is skipped, visibly, where it is not installed."""
    pytest.importorskip("tensorflow")
    from unetrt import vendor

    return vendor.keras()
