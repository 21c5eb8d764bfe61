"""First to report."""

from __future__ import annotations

from agents.contributors.honest import Honest
from agents.contributors.idle import SECOND
from mechanisms.vocabulary import Act, ContributorObservation, TimingObservation


class Racer(Honest):
    """Acts the moment that a datum of others can be reported, to be paid before the others are.

    Reporters need a standing where the rule pays by it. So it offers true labels as an honest
    contributor while its standing is below the mean of all that have one, and only claims above.
    """

    name = "racer"
    summary = "reports the moment that data become reportable, to be the first"
    reference = (
        "0xDeCA10B Stakeable64: reporters are paid in order of their claims, out of what is left"
    )
    knows = frozenset({"standing"})
    times = True

    def act(self, seen: ContributorObservation) -> Act:
        standing = seen.standing
        if standing and standing.get(seen.device, 0) * len(standing) > sum(standing.values()):
            return None
        return super().act(seen)

    def next_s(self, seen: TimingObservation) -> float:
        """Return the earlier of its usual time and the moment of the next report."""
        due = min(seen.time_s + seen.wait_s, seen.reportable_s)
        return max(due, seen.time_s + SECOND)
