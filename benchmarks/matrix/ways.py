"""The ways to run a network that the matrix times: sessions of ours, and peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetrt.artifacts import OnnxModel
from unetrt.errors import UnsupportedModel
from unetrt.gpu import find_gpu
from unetrt.precision import Precision
from unetrt.runtime import Session

from ..agreement import PredictingCandidate
from ..candidates import Runs, session_candidate
from ..inputs import TimedInput
from ..peers.open_peers import PeerCandidate, open_peer
from ..peers.peers import peers_named
from ..roofline.roofline import Roofline
from ..rows import Facts
from .cells import Cell

__all__ = ["PeerWay", "SessionWay"]

_PLAIN = (str, int, float, bool)


class SessionWay:
    """A session of ours, in both scopes; see `case.Way`. It closes the session.

    `limits` gives, by the type that is computed in, the least time of the network.
    """

    def __init__(
        self,
        cell: Cell,
        session: Session,
        timed_input: TimedInput,
        limits: Callable[[str], Roofline | None] = lambda _type: None,
    ) -> None:
        self._session, self._input = session, timed_input
        self._stack = ExitStack()
        self._stack.callback(session.close)
        info = dict(session.info)
        computes_in = info.pop("computes_in")
        del info["precision"]  # the row says it
        self.limit = limits(computes_in)
        self.facts = Facts(
            network=cell.network,
            precision=cell.precision,
            backend=cell.backend,
            device=_device(on_cpu=info.pop("device") == "CPU"),
            computes_in=computes_in,
            configuration=_plain(info),
            artifact=session.artifact.as_source,
        )

    def candidate(self, cell: Cell) -> PredictingCandidate:
        """Return its core, or the way from pixels to labels."""
        made = session_candidate(
            cell.id, self._session, self._input, scope=cell.scope, precision=cell.precision
        )
        self._stack.callback(made.close)
        return made

    def close(self) -> None:
        """Close what was made, the session last."""
        self._stack.close()


class PeerWay:
    """Another tool in a process of its own, its core alone; see `case.Way` and `SessionWay`."""

    def __init__(
        self,
        cell: Cell,
        network: OnnxModel,
        timed_input: TimedInput,
        limits: Callable[[str], Roofline | None] = lambda _type: None,
    ) -> None:
        (peer,) = peers_named((cell.peer,))
        dtype = network.inputs[0].dtype
        self._stack = ExitStack()
        image = timed_input.pixels.astype(dtype)
        opened = self._stack.enter_context(open_peer(peer, network, image))
        self.limit = limits(opened.info["computes_in"])
        # A peer may compute in less than its file, OpenVINO in bfloat16, torch in TF32; and a
        # float16 file that is computed in float32 is as far off as its weights are.
        computed = Precision.from_compute_dtype(opened.info["computes_in"])
        held_to = computed.coarser(Precision.of(cell.precision))
        self._candidate = _PeerAnswers(cell.id, held_to, opened)
        self.facts = Facts(
            network=cell.network,
            precision=cell.precision,
            backend=cell.backend,
            device=_device(on_cpu=peer.device == "cpu"),
            computes_in=opened.info["computes_in"],
            configuration=_plain({**opened.info["versions"], **opened.info["configuration"]}),
            artifact=network.as_source,
            peer=True,
        )

    def candidate(self, cell: Cell) -> PredictingCandidate:
        """Return its core.

        Raises:
            UnsupportedModel: another scope.
        """
        if cell.scope != "core":
            raise UnsupportedModel(f"{cell.peer} is timed as a core alone", got=cell.scope)
        return self._candidate

    def close(self) -> None:
        """End the child."""
        self._stack.close()


class _PeerAnswers:
    """A peer under the name of its cell."""

    def __init__(self, name: str, precision: str, peer: PeerCandidate) -> None:
        self.name, self.precision, self._peer = name, precision, peer

    def time_runs(self, count: int) -> Runs:
        return self._peer.time_runs(count)

    def predict(self) -> NDArray[Any]:
        return np.asarray(self._peer.predict())

    def close(self) -> None:
        """Nothing: the way ends the child."""


def _device(*, on_cpu: bool) -> str:
    gpu = find_gpu()
    return "CPU" if on_cpu or gpu is None else gpu.name


def _plain(settings: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """Return settings as the record holds them: what is no number or word, in its words."""
    return {name: x if isinstance(x, _PLAIN) else str(x) for name, x in settings.items()}
