"""Words of `protocol = "coordinator"`: verification, disputes, and the conduct of a round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary.observation import Observation


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """What a coordinator's contract knows beside the records of a round.

    unrevealed          devices that committed and did not reveal the same update
    malformed           devices whose update could never be aggregated
    fault               of the aggregator: "wrong" (proved by `challenger`), "absent", or ""
    false_challengers   devices that disputed a right aggregate
    """

    aggregator: int | None = None
    unrevealed: frozenset[int] = frozenset()
    malformed: frozenset[int] = frozenset()
    fault: str = ""
    challenger: int | None = None
    false_challengers: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class VerificationObservation(Observation):
    """What a verifier sees of the revealed updates of a round.

    `genuine` `bool[n]`: whether re-executing the work of each worker would give its update.
    """

    round: int
    workers: tuple[int, ...]
    genuine: NDArray[np.bool_]
    rng: np.random.Generator


@dataclass(frozen=True, kw_only=True)
class DisputeObservation(Observation):
    """What a member sees after it has recomputed the aggregate of a round.

    `wrong`: the aggregate that was delivered is another. `coalition` are the devices of the
    member's own group.
    """

    actor = "device"

    round: int
    device: int
    aggregator: int | None
    wrong: bool
    coalition: frozenset[int] = frozenset()
