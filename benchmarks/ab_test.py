"""Compare A and B: alternation, rebuilds, and an A/A test beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from unetrt.errors import BadInput

from .agreement import Reference
from .candidates import Candidate
from .measure import Plan, take_turns
from .statistics import Ratio, Samples, paired_ratio, verdict

__all__ = ["Compared", "compare_candidates"]

Factory = Callable[[int], Candidate]
"""Makes the candidate anew: from the number of the rebuild."""

REBUILDS = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """How one variant did beside the first.

    Attributes:
        ratio: of its median over the first's.
        null: of the first's second build over the first's, in the same rounds.
        verdict: "faster", "slower" or "cannot be told apart".
        samples: of each rebuild.
    """

    ratio: Ratio
    null: Ratio
    verdict: str
    samples: tuple[Samples, ...]


def compare_candidates(
    variants: Mapping[str, Factory],
    plan: Plan | None = None,
    *,
    rebuilds: int = REBUILDS,
    reference: Reference | None = None,
    on_run: Callable[[str], None] = lambda _line: None,
) -> dict[str, Compared]:
    """Compare variants with the first of them, which comes first in the result, beside itself.

    Each round of rebuilding makes every variant anew, and the first one twice: how its two builds
    differ is the null that a difference must clear. All take turns in random order.

    Raises:
        BadInput: fewer than two variants, no rebuild, or a mode without several turns.
        ParityError: a build disagrees with the reference; nothing of its round was timed.
    """
    plan = plan or Plan()
    if len(variants) < 2 or rebuilds < 1 or plan.mode.in_one_turn:  # noqa: PLR2004
        raise BadInput(
            "Cannot compare candidates",
            got=f"{len(variants)} variants, {rebuilds} rebuilds, mode {plan.mode.name}",
            expected="two or more, at least one rebuild, a mode that takes turns",
        )
    first, *_ = variants
    null = f"{first} again"
    arms = {**variants, null: variants[first]}
    taken: dict[str, list[Samples]] = {name: [] for name in arms}
    for rebuild in range(rebuilds):
        with ExitStack() as stack:
            opened = {}
            for name, factory in arms.items():
                opened[name] = factory(rebuild)
                stack.callback(opened[name].close)
            found = take_turns(
                opened,
                # Another order in each round; the same for the same plan.
                replace(plan, seed=plan.seed + rebuild),
                reference=reference,
                on_run=partial(_tell, on_run, f"build {rebuild + 1}/{rebuilds}"),
            )
        for name, samples in found.items():
            taken[name].append(samples)
    turns = {name: [samples.rounds_ns for samples in each] for name, each in taken.items()}
    alone = paired_ratio(turns[first], turns[null], seed=plan.seed)
    result = {first: Compared(alone, alone, verdict(alone), tuple(taken[first]))}
    for name in variants:
        if name != first:
            ratio = paired_ratio(turns[first], turns[name], seed=plan.seed)
            result[name] = Compared(ratio, alone, verdict(ratio, alone), tuple(taken[name]))
    return result


def _tell(on_run: Callable[[str], None], where: str, line: str) -> None:
    on_run(f"{where}, {line}")
