"""Compare A and B: alternation, rebuilds, and an A/A test beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from unetrt.errors import BadInput

from .agreement import Reference
from .candidates import Candidate
from .measure import MeasureSpec, time_in_rounds
from .statistics import Ratio, Samples, paired_ratio, verdict

__all__ = ["ABTest", "compare_candidates"]

Factory = Callable[[int], Candidate]
"""Makes the candidate anew: from the number of the rebuild."""

REBUILDS = 3


@dataclass(frozen=True, slots=True)
class ABTest:
    """Hold the comparison of one variant with the first.

    Attributes:
        ratio: of its median over the first's.
        null: of the first's second build over the first's, in the same rounds: the A/A test.
        verdict: "faster", "slower" or "cannot be told apart".
        samples: of each rebuild.
    """

    ratio: Ratio
    null: Ratio
    verdict: str
    samples: tuple[Samples, ...]


def compare_candidates(
    variants: Mapping[str, Factory],
    spec: MeasureSpec | None = None,
    *,
    rebuilds: int = REBUILDS,
    reference: Reference | None = None,
    on_run: Callable[[str], None] = lambda _line: None,
) -> dict[str, ABTest]:
    """Compare variants with the first of them, and the first with a second build of itself.

    Each rebuild makes every variant anew, and the first one twice: how its two builds differ is the
    null that a difference must clear. All are timed in the same rounds.

    Args:
        variants: what makes each candidate, by name; the first is the baseline.
        spec: how often and in which order they run.
        rebuilds: how often each is made.
        reference: of the same input; None checks nothing.
        on_run: told a line of progress after each turn.

    Returns:
        The A/A test of the first, then the comparison of each other, by name.

    Raises:
        BadInput: fewer than two variants, no rebuild, or a mode without several rounds.
        ParityError: a build disagrees with the reference; nothing of its rounds was timed.

    Example:
        >>> import numpy as np
        >>> from unetrt.benchmarks import CallCandidate, MeasureSpec
        >>> few, many = np.arange(10.0), np.arange(300_000.0)
        >>> found = compare_candidates(
        ...     {
        ...         "few": lambda _rebuild: CallCandidate("few", np.sqrt, few),
        ...         "many": lambda _rebuild: CallCandidate("many", np.sqrt, many),
        ...     },
        ...     MeasureSpec(samples=10),
        ...     rebuilds=1,
        ... )
        >>> found["many"].ratio.ratio > 1
        True
    """
    spec = spec or MeasureSpec()
    if len(variants) < 2 or rebuilds < 1 or spec.mode.in_one_round:  # noqa: PLR2004
        raise BadInput(
            "Cannot compare candidates",
            got=f"{len(variants)} variants, {rebuilds} rebuilds, mode {spec.mode.name}",
            expected="two or more, at least one rebuild, a mode with several rounds",
        )
    first, *_ = variants
    again = f"{first} again"
    arms = {**variants, again: variants[first]}
    taken: dict[str, list[Samples]] = {name: [] for name in arms}
    for rebuild in range(rebuilds):
        with ExitStack() as stack:
            opened = {}
            for name, factory in arms.items():
                opened[name] = factory(rebuild)
                stack.callback(opened[name].close)
            found = time_in_rounds(
                opened,
                # Another order in each rebuild; the same for the same spec.
                replace(spec, seed=spec.seed + rebuild),
                reference=reference,
                on_run=partial(_tell, on_run, f"build {rebuild + 1}/{rebuilds}"),
            )
        for name, samples in found.items():
            taken[name].append(samples)
    rounds = {name: [samples.rounds_ns for samples in each] for name, each in taken.items()}
    null = paired_ratio(rounds[first], rounds[again], seed=spec.seed)
    result = {first: ABTest(null, null, verdict(null), tuple(taken[first]))}
    for name in variants:
        if name != first:
            ratio = paired_ratio(rounds[first], rounds[name], seed=spec.seed)
            result[name] = ABTest(ratio, null, verdict(ratio, null), tuple(taken[name]))
    return result


def _tell(on_run: Callable[[str], None], where: str, line: str) -> None:
    on_run(f"{where}, {line}")
