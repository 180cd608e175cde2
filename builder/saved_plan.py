"""Keep all with which a training began, so that it is resumed with nothing else said."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from unetrt.errors import ArtifactError, UnetrtError
from unetrt.files import write_text
from unetrt.typed_json import from_json

from .plan import TrainingPlan

__all__ = ["SavedPlan", "read_plan", "write_plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """Hold all with which a training began.

    Attributes:
        data: "brain" or the folder of the data set; None where it was made in memory.
        identity: of the data: see `data_identity`.
        plan: the network, its training, and why.
        folds: number of trainings of a cross-validation; None for a single training.
        tta: evaluate flipped and turned test images too.
        format: version of the file.
    """

    data: str | None
    identity: dict[str, Any]
    plan: TrainingPlan
    folds: int | None = None
    tta: bool = False
    format: Literal[1] = 1


def write_plan(path: Path, saved: SavedPlan) -> None:
    """Write a plan as JSON, whole or not at all.

    Example:
        >>> from unetrt.builder.plan import plan
        >>> saved = SavedPlan(data="cells", identity={}, plan=plan("cells"))
        >>> write_plan(Path("plan.json"), saved)
        >>> read_plan(Path("plan.json")) == saved
        True
    """
    write_text(path, json.dumps(asdict(saved), indent=1) + "\n")


def read_plan(path: Path) -> SavedPlan:
    """Read what `write_plan` wrote.

    Raises:
        ArtifactError: no training began in that folder, or the file is damaged, or of another
            version.
    """
    try:
        saved: SavedPlan = from_json(SavedPlan, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ArtifactError(
            f"Cannot resume {path.parent}",
            got=f"no {path.name} in it",
            expected="the folder of a training that was interrupted",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UnetrtError) as error:
        raise ArtifactError(
            f"Cannot read {path}",
            got=error,
            expected="the plan that a training of this version of unetrt began with",
            hint="train again with `restart=True`",
        ) from error
    return saved
