"""Label maps of a folder, as `unetrt predict` leaves them on disk."""

import numpy as np
from PIL import Image

from tests.jobs.command_line import run_cli


def label_maps(model, data, out):
    """Return the label maps of the images of a data folder, image by image."""
    words = ("--out", out, "--backend", "onnxruntime", "--no-overlays", "--json")
    assert run_cli("predict", model, data / "images", *words).result["failed"] == {}
    return read_label_maps(out)


def read_label_maps(out):
    """Return the label maps in a folder that `unetrt predict` wrote."""
    files = sorted((out / "predictions").iterdir())
    assert files
    return np.stack([np.array(Image.open(file)) for file in files])
