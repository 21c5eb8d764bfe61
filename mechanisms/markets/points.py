"""Points: data cost nothing, and what the model agrees with earns its author karma."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.markets.base import AGREES, DISAGREES, OWN, TOO_YOUNG, MarketRule
from mechanisms.plugin import PluginError, param
from mechanisms.vocabulary import Claim, Datum, MarketMemory, Offering, Refused

CLAIMED = Refused("the datum was claimed")
NOT_AUTHOR = Refused("only the author has its datum verified")


class Points(MarketRule):
    """Karma: a point for every own datum that the model agrees with after T_r.

    A datum can be claimed once: by its author, for a point, or by a report of somebody else when
    the model disagrees, which pays nothing and gives no points. After the report the author cannot
    earn the point any more. `scores` are points in per cent of all. Badges are for points, as in
    the first paper's sketch after Stack Exchange; no code of it was published.
    """

    name = "points"
    summary = "data cost nothing; a point per datum that the model agrees with, badges for points"
    reference = "Harris and Waggoner, arXiv:1907.07247 (gamification); seed 001, Points"
    examples = ({}, {"refund_wait_s": 86_400.0, "silver": 2, "gold": 3})

    @dataclass(frozen=True)
    class Params:
        refund_wait_s: float = param(
            0.0, help="T_r: age at which claims begin", unit="s", ge=0, le=10**12
        )
        bronze: int = param(1, help="points for a bronze badge", unit="points", ge=1, le=10**9)
        silver: int = param(10, help="points for a silver badge", unit="points", ge=1, le=10**9)
        gold: int = param(100, help="points for a gold badge", unit="points", ge=1, le=10**9)

        def __post_init__(self) -> None:
            if not self.bronze < self.silver < self.gold:
                message = f"must be above bronze = {self.bronze} and below gold = {self.gold}"
                raise PluginError(message, "silver", self.silver)

    params: Params

    @property
    def refund_wait_s(self) -> float:
        return self.params.refund_wait_s

    @property
    def inclusive(self) -> bool:
        return True

    def start(self, time_s: float) -> MarketMemory:
        """Return the memory: `points` by device."""
        return {"points": {}}

    def add(self, memory: MarketMemory, seen: Offering) -> int | Refused:
        return 0

    def settled(self, datum: Datum) -> bool:
        return datum.claims > 0

    def refund(self, memory: MarketMemory, seen: Claim) -> int | Refused:
        """Give the author of a datum a point, and no money."""
        datum = seen.datum
        if seen.device != datum.author:
            return NOT_AUTHOR
        problem = self._untimely(seen)
        if problem:
            return problem
        if not seen.agrees:
            return DISAGREES
        key, points = str(seen.device), memory["points"]
        points[key] = points.get(key, 0) + 1
        return 0

    def report(self, memory: MarketMemory, seen: Claim) -> int | Refused:
        """Consume the claim on a datum; pay nothing."""
        problem = self._untimely(seen)
        if problem:
            return problem
        if seen.device == seen.datum.author:
            return OWN
        return AGREES if seen.agrees else 0

    def _untimely(self, seen: Claim) -> Refused | None:
        if seen.datum.claims:
            return CLAIMED
        age_s = seen.time_s - seen.datum.time_s
        return TOO_YOUNG if age_s < self.params.refund_wait_s else None

    def standing(self, memory: MarketMemory) -> Mapping[int, int]:
        """Return the points by device."""
        return {int(device): points for device, points in memory["points"].items()}

    def badges(self, memory: MarketMemory) -> Mapping[int, str]:
        """Return the highest badge of each device that has one."""
        own = self.params
        ladder = (("gold", own.gold), ("silver", own.silver), ("bronze", own.bronze))
        earned: dict[int, str] = {}
        for device, points in self.standing(memory).items():
            reached = [badge for badge, least in ladder if points >= least]
            if reached:
                earned[device] = reached[0]
        return earned
