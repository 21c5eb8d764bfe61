"""Rules with stages: their deadlines, the committed test set, and accuracies for rewards."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.contributors.base import Contributor
from mechanisms import answers
from mechanisms.failures import broken
from mechanisms.vocabulary import ProviderObservation, Stage
from sim.protocols.market.market import DataMarket


class Rewards:
    """What a rule with stages needs of the market.

    Args:
        market: whose rule, data and model they are.
    """

    def __init__(self, market: DataMarket) -> None:
        self._market = market
        self._test_rows = self._committed()

    def _committed(self) -> NDArray[np.int64]:
        """Return the rows of the test set that the provider committed to, all without one."""
        market = self._market
        rows = market.samples.test_rows
        provider = market.scenario.market.provider
        if provider < 0:
            return rows
        behaviour: Contributor = market.people[provider].behaviour("contributor")
        seen = ProviderObservation(
            device=provider,
            labels=market.samples.y[rows],
            classes=market.samples.classes,
            rng=market.kernel.streams.rng("market test set", provider),
        )
        chosen = behaviour.test_set(seen)
        if chosen is None:
            return rows
        shape = (len(np.atleast_1d(chosen)),)
        picked = answers.array(behaviour, "test_set", chosen, shape=shape, kind="int")
        if not len(picked) or picked.min() < 0 or picked.max() >= len(rows):
            message = f"must choose some of the test samples 0..{len(rows) - 1}"
            raise broken(behaviour, "test_set", message, f"device {provider}")
        return rows[picked]

    def advance(self, *, ended: bool) -> None:
        """Let the rule go on to its next stage, and pay what it decides."""
        market = self._market
        now_s = market.now_s
        seen = Stage(time_s=now_s, data=tuple(market.data), ended=ended, accuracies=self.accuracies)
        market.pay(market.rule.advance(market.memory, seen))
        next_s = market.rule.deadline_s(market.memory)
        if next_s <= now_s and not ended:
            raise broken(market.rule, "deadline_s", f"asks for {next_s} after the stage of {now_s}")

    def accuracies(self, data: Sequence[int]) -> NDArray[np.float64]:
        """Return accuracies on the committed test set; see `Evaluator`."""
        market = self._market
        model = market.new_model()
        rows, labels = self._test_rows, market.samples.y[self._test_rows]
        found = [model.accuracy(rows, labels)]
        for index in data:
            datum = market.data[index]
            model.update(datum.row, datum.label)
            found.append(model.accuracy(rows, labels))
        return np.array(found)
