"""Voters that sell their ballots."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agents.voters.honest import Honest, Staking
from mechanisms.plugin import param
from mechanisms.vocabulary import Ballot, VoterObservation


class Bought(Honest):
    """Votes by preference unless somebody pays its reservation price; then it votes as told.

    The reservation price is

        price + stake_price * stake + loss_share * (what the outcome that is told costs it)

    rounded up. `loss_share` 1 is a voter that thinks that its vote alone decides, 0 one that knows
    it to be one of many. It keeps its word: votes on a chain are public.
    """

    name = "bought"
    summary = "votes by preference unless it is paid its reservation price"
    reference = "vote buying: Dekel, Jackson and Wolinsky 2008, Journal of Political Economy 116(2)"
    sells = True
    examples = ({}, {"price": 7, "stake_price": 0.01, "loss_share": 1.0})

    @dataclass(frozen=True)
    class Params(Staking):
        price: int = param(1_000, help="asked for any ballot", unit="base units", ge=0, le=10**15)
        stake_price: float = param(
            0.0, help="asked for each base unit of stake behind it", unit="base units", ge=0, le=1
        )
        loss_share: float = param(
            0.0, help="part of what the other outcome costs it that is asked too", ge=0, le=1
        )

    params: Params

    def price(self, seen: VoterObservation, told: Ballot) -> int:
        p = self.params
        loss = max(0.0, -seen.worth if told.approves else seen.worth)
        return p.price + math.ceil(p.stake_price * told.stake) + math.ceil(p.loss_share * loss)
