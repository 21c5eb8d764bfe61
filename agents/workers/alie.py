"""A little is enough: harmful updates inside the spread of the honest ones."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from agents.crowd import mean_and_deviation, same_row
from agents.workers.base import WorkerBehaviour
from mechanisms.plugin import param
from mechanisms.vocabulary import Submission, WorkerObservation


class Alie(WorkerBehaviour):
    """Sends mean - z * standard deviation of the honest updates, in every coordinate."""

    name = "alie"
    summary = "mean of the honest updates minus z standard deviations"
    reference = "Baruch, Baruch and Goldberg 2019, arXiv:1902.06156, algorithm 3"
    knows = frozenset({"others"})

    @dataclass(frozen=True)
    class Params:
        z: float = param(
            0.0,
            help="standard deviations from the mean; 0: the paper's z_max for the numbers of the "
            "round",
            ge=0,
            le=1e6,
        )

    params: Params

    def submit(self, seen: WorkerObservation) -> Submission:
        mean, deviation = mean_and_deviation(seen)
        malicious = len(seen.devices)
        honest = len(seen.others)
        z = self.params.z or z_max(malicious + honest, malicious)
        return same_row(seen, mean - np.float32(z) * deviation)


def z_max(n: int, malicious: int) -> float:
    """Return the largest z that enough honest devices exceed in distance from the mean.

    With s = n // 2 + 1 - malicious supporters: the normal quantile of (honest - s) / honest, and 0
    when attackers are a majority.
    """
    supporters = n // 2 + 1 - malicious
    honest = n - malicious
    if honest < 1 or supporters <= 0:
        return 0.0
    share = (honest - supporters) / honest
    return NormalDist().inv_cdf(share) if share > 0.5 else 0.0
