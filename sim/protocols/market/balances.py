"""Balances that a rule keeps for contributors, and how they are collected."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mechanisms import answers
from mechanisms.markets.base import POT, MarketRule
from mechanisms.vocabulary import Refused, Withdrawal
from sim.population.participant import Participant
from sim.protocols.market.market import DataMarket

COLLECTED = "market.collect"
"""What a collected balance is called in the journal."""


class Balances:
    """The balances of a market whose rule keeps any.

    Args:
        market: whose rule, money and books these are.
    """

    def __init__(self, market: DataMarket) -> None:
        self._market = market
        self._keeps = type(market.rule).balances is not MarketRule.balances

    def owed(self) -> Mapping[int, int]:
        """Return by device the base units that can still be collected."""
        market = self._market
        if not self._keeps:
            return {}
        found = market.rule.balances(market.memory)
        return answers.counts(market.rule, "balances", found, len(market.people))

    def open_to_all_s(self) -> float:
        """Return when anybody may collect what is left; inf where nothing is."""
        market = self._market
        if not self.owed():
            return math.inf
        return answers.moment(
            market.rule, "open_to_all_s", market.rule.open_to_all_s(market.memory)
        )

    def collect(self, p: Participant) -> bool:
        """Collect all that a contributor can, its own balance first; return whether it got any."""
        if not self._keeps:
            return False
        owed = self.owed()
        got = p.device in owed and self._ask(p, p.device, owed)
        if owed and self._market.now_s >= self.open_to_all_s():
            for owner in sorted(owed.keys() - {p.device}):
                got |= self._ask(p, owner, owed)
        return got

    def hand_out(self) -> None:
        """Let everybody collect its own balance."""
        owed = self.owed()
        for device in sorted(owed):
            self._ask(self._market.people[device], device, owed)

    def _ask(self, p: Participant, owner: int, owed: Mapping[int, int]) -> bool:
        """Ask the rule for the balance of an owner, and pay what it accepts; return whether."""
        market = self._market
        seen = Withdrawal(p.device, market.now_s, owner)
        answer = market.rule.collect(market.memory, seen)
        amount = answers.money(market.rule, "collect", answer, owed[owner])
        if isinstance(amount, Refused):
            return False
        if amount:
            market.kernel.treasury.move(POT, p.account, amount, COLLECTED, market.now_s)
        market.books.collected(market.now_s, p.device, owner, amount)
        return True
