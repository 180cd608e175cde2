"""Make a record's rows of samples and of the facts about each candidate."""

from __future__ import annotations

from dataclasses import dataclass, field

from unetrt.gpu import find_gpu
from unetrt.precision import Precision

from .candidates import TimedSession
from .inputs import TimedInput
from .modes import Mode
from .record import Row
from .statistics import Samples, summarize

__all__ = ["Facts", "row_of", "session_facts"]

_NO_PARITY = {"reference": "none", "max_abs_diff": None, "labels_that_differ": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Describe a candidate; see `Row` for the attributes.

    >>> Facts(
    ...     network="article", precision="fp16", backend="openvino", device="CPU",
    ...     computes_in="float32",
    ... ).peer
    False
    """

    network: str
    precision: str
    backend: str
    device: str
    computes_in: str
    configuration: dict[str, str | float | bool] = field(default_factory=dict)
    artifact: dict[str, str] | None = None
    peer: bool = False


def session_facts(session: TimedSession, network: str) -> Facts:
    """Describe a session; of float32 on a GPU, say whether it is TF32."""
    artifact, info = session.artifact, session.info
    own, said = Precision.of(artifact.precision), str(info.get("computes_in", ""))
    rounds = own == Precision.FP32 and said == Precision.TF32.compute_dtype
    precision = Precision.TF32 if rounds else own
    device = str(info["device"])
    gpu = find_gpu() if device != "CPU" else None
    configuration: dict[str, str | float | bool] = {"version": str(info["version"])}
    if device != "CPU" and own == Precision.FP32:
        configuration["tf32"] = rounds
    return Facts(
        network=network,
        precision=precision,
        backend=str(info["backend"]),
        device=device if gpu is None else gpu.name,
        computes_in=said or precision.compute_dtype,
        configuration=configuration,
        artifact={"file": artifact.path.name, "sha256": artifact.sha256},
    )


def row_of(
    samples: Samples,
    facts: Facts,
    timed_input: TimedInput,
    *,
    scope: str,
    mode: Mode,
    roofline: dict[str, float] | None = None,
) -> Row:
    """Make the row of a record; a percentile is there if the samples are enough for it.

    Args:
        samples: of the candidate, in nanoseconds.
        facts: about it.
        timed_input: pixels [batch, height, width, channels] that it ran on.
        scope: "core" or "end_to_end".
        mode: how runs followed each other.
        roofline: {"attainable_ns", "share"}, where known.
    """
    batch, height, width, channels = timed_input.shape
    agreement = samples.agreement
    return Row(
        network=facts.network,
        precision=facts.precision,
        backend=facts.backend,
        device=facts.device,
        computes_in=facts.computes_in,
        peer=facts.peer,
        batch=batch,
        height=height,
        width=width,
        channels=channels,
        scope=scope,
        mode=mode.name,
        rate_per_s=mode.rate_per_s,
        configuration=facts.configuration,
        artifact=facts.artifact,
        input=timed_input.to_json(),
        parity=_NO_PARITY if agreement is None else agreement.to_json(),
        samples_ns={"host": samples.host_ns, **samples.stages_ns},
        warmup_ns=samples.warmup_ns,
        windows=samples.windows,
        latency_ms=summarize(samples).to_json(),
        images_per_s=batch * samples.runs_per_s,
        roofline=roofline,
        warnings=samples.warnings,
    )
