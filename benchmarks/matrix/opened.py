"""Open what the matrix times: sessions of ours, and peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from unetrt.artifacts import OnnxModel
from unetrt.errors import UnsupportedModel
from unetrt.gpu import find_gpu
from unetrt.runtime import Session

from ..agreement import PredictingCandidate
from ..candidates import session_candidate
from ..inputs import TimedInput
from ..peers.peers import open_peer, peers_named
from ..roofline.roofline import Roofline
from ..rows import Facts
from .matrix_spec import RowSpec

__all__ = ["OpenedPeer", "OpenedSession"]

_PLAIN = (str, int, float, bool)


class OpenedSession:
    """Hold a session of ours for both scopes, and close it; see `case.OpenedNetwork`.

    Args:
        spec: of one of its rows.
        session: on the row's library.
        timed_input: of the case.
        limits: returns, for the type that is computed in, the least time of the network.
    """

    def __init__(
        self,
        spec: RowSpec,
        session: Session,
        timed_input: TimedInput,
        limits: Callable[[str], Roofline | None] = lambda _type: None,
    ) -> None:
        self._session, self._input = session, timed_input
        self._stack = ExitStack()
        self._stack.callback(session.close)
        info = dict(session.info)
        computes_in = info.pop("computes_in")
        for known in ("precision", "normalization"):  # the row says the one, the file the other
            info.pop(known, None)
        self.limit = limits(computes_in)
        self.facts = Facts(
            network=spec.network,
            precision=spec.precision,
            backend=spec.backend,
            device=_device(on_cpu=info.pop("device") == "CPU"),
            computes_in=computes_in,
            configuration=_plain(info),
            artifact=session.artifact.as_source,
        )

    def candidate(self, spec: RowSpec) -> PredictingCandidate:
        """Return its core, or the way from pixels to labels."""
        made = session_candidate(
            spec.id, self._session, self._input, scope=spec.scope, precision=spec.precision
        )
        self._stack.callback(made.close)
        return made

    def close(self) -> None:
        """Close what was made, the session last."""
        self._stack.close()


class OpenedPeer:
    """Hold another tool in a process of its own, for its core alone; see `OpenedSession`."""

    def __init__(
        self,
        spec: RowSpec,
        network: OnnxModel,
        timed_input: TimedInput,
        limits: Callable[[str], Roofline | None] = lambda _type: None,
    ) -> None:
        (peer,) = peers_named((spec.peer,))
        self._stack = ExitStack()
        pixels = timed_input.normalized(network.normalization).pixels
        image = pixels.astype(network.inputs[0].dtype)
        self._candidate = self._stack.enter_context(open_peer(peer, network, image))
        self._candidate.name = spec.id
        info = self._candidate.info
        self.limit = limits(info["computes_in"])
        self.facts = Facts(
            network=spec.network,
            precision=spec.precision,
            backend=spec.backend,
            device=_device(on_cpu=peer.device == "cpu"),
            computes_in=info["computes_in"],
            configuration=_plain({**info["versions"], **info["configuration"]}),
            artifact=network.as_source,
            peer=True,
        )

    def candidate(self, spec: RowSpec) -> PredictingCandidate:
        """Return its core.

        Raises:
            UnsupportedModel: another scope.
        """
        if spec.scope != "core":
            raise UnsupportedModel(f"{spec.peer} is timed as a core alone", got=spec.scope)
        return self._candidate

    def close(self) -> None:
        """End the child."""
        self._stack.close()


def _device(*, on_cpu: bool) -> str:
    gpu = find_gpu()
    return "CPU" if on_cpu or gpu is None else gpu.name


def _plain(settings: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """Return settings as the record holds them: what is no number or word, in its words."""
    return {name: x if isinstance(x, _PLAIN) else str(x) for name, x in settings.items()}
