"""Data that the model predicts already: they teach nothing, risk nothing, and count as good."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agents.contributors.base import Contributor
from agents.contributors.idle import SECOND
from mechanisms.plugin import param
from mechanisms.vocabulary import Act, ContributorObservation, Offer, TimingObservation


class Agreeable(Contributor):
    """Offers the next sample with the label that the model predicts, whatever the true one is.

    A rule that takes the model's word for what is good gives the deposit back and counts the datum
    as good; with its standing grows its share of the deposits of others.
    """

    name = "agreeable"
    summary = "offers what the model predicts already, to be counted as good without any risk"
    reference = "deposit, refund, take: self-assessment takes the model's prediction as the truth"
    knows = frozenset({"prediction"})

    def act(self, seen: ContributorObservation) -> Act:
        if seen.row is None:
            return None
        return Offer(seen.prediction, seen.budget)


class Griefer(Contributor):
    """Adds data so often that the price stays at its highest, which honest offers do not reach.

    The deposit falls with the time since the last datum of anybody, in whole seconds: who adds a
    datum every 4 seconds pays for 4 seconds, and all others for 0 to 3. It offers any sample, again
    and again, with the label that the model predicts: such deposits come back. It pays more than
    its habits let it, as long as its balance lasts, and goes on when the first deposits are back.
    Where data cost nothing it adds none.
    """

    name = "griefer"
    summary = "adds data every few seconds, which makes them too expensive for honest contributors"
    reference = "deposit, refund, take: w / sqrt(time since the last datum), the same for all"
    stochastic = True
    knows = frozenset({"price", "samples"})
    times = True

    @dataclass(frozen=True)
    class Params:
        gap_s: float = param(
            4.0,
            help="time between its data; up to 4 s others always meet the highest published price",
            unit="s",
            ge=1,
            le=86_400,
        )

    params: Params

    def act(self, seen: ContributorObservation) -> Act:
        if seen.row is None or not 0 < seen.price <= seen.balance:
            return None
        row = int(seen.rng.random() * len(seen.labels))
        return Offer(int(seen.predict((row,))[0]), max(seen.price, seen.budget), row)

    def next_s(self, seen: TimingObservation) -> float:
        """Return the whole second a gap from now; while it is broke, when money may come back."""
        if seen.row is not None and 0 < seen.price <= seen.balance:
            return math.floor(seen.time_s) + self.params.gap_s
        due = min(seen.time_s + seen.wait_s, seen.refundable_s)
        return max(due, seen.time_s + SECOND)
