"""Rules with stages: their deadlines, the committed test set, and accuracies for rewards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.contributors.base import Contributor
from mechanisms import answers
from mechanisms.failures import broken
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import ProviderObservation, Stage
from sim.keys import SettingError
from sim.online.watch import Watch
from sim.protocols.market.market import DataMarket

Rows = NDArray[np.int64]
MISMATCH = "reveals another test set than it committed to"


class Rewards:
    """What a rule with stages needs of the market.

    The provider commits to the bytes of each piece of a test set before the first datum. One piece,
    drawn at random, is revealed at once, the others at the end: rewards are measured on those.
    Without a provider it is the hidden test set of the data.

    Args:
        market: whose rule, data and model they are.
    """

    def __init__(self, market: DataMarket) -> None:
        self._market = market
        self._rows = market.samples.test_rows
        self._tested = self._noted = True
        try:
            market.rule.test_pieces(len(self._rows))
        except PluginError as error:
            key = f"market.params.{error.key}"
            raise SettingError(key, error.value, str(error)) from error

    def commit(self) -> None:
        """Let the provider commit to its test set, and reveal a piece of it: in the first round."""
        committed = self._of_provider("test_set", self._rows)
        revealed = self._of_provider("revealed", committed)
        same = revealed is committed or self.digests(revealed) == self.digests(committed)
        self._tested = self._noted = same
        self._rows = self._hidden(revealed)

    def _of_provider(self, method: str, default: Rows) -> Rows:
        """Return the rows that the provider commits to or reveals."""
        market = self._market
        provider, tests = market.scenario.market.provider, market.samples.test_rows
        if provider < 0:
            return default
        behaviour: Contributor = market.people[provider].behaviour("contributor")
        seen = ProviderObservation(
            device=provider,
            labels=market.samples.y[tests],
            classes=market.samples.classes,
            rng=market.kernel.streams.rng("market test set", provider),
        )
        chosen = getattr(behaviour, method)(seen)
        if chosen is None:
            return default
        who = f"device {provider}"
        shape = (len(np.atleast_1d(chosen)),)
        picked = answers.array(behaviour, method, chosen, shape=shape, kind="int", who=who)
        if not len(picked) or picked.min() < 0 or picked.max() >= len(tests):
            message = f"must choose some of the test samples 0..{len(tests) - 1}"
            raise broken(behaviour, method, message, who)
        try:
            market.rule.test_pieces(len(picked))
        except PluginError as error:
            message = f"chooses {len(picked)} test samples: {error.key} = {error.value} {error}"
            raise broken(behaviour, method, message, who) from error
        return tests[picked]

    def digests(self, rows: Rows) -> list[str]:
        """Return the SHA-256 of each piece: the bytes of its samples and labels."""
        samples = self._market.samples
        found = []
        for start, stop in self._market.rule.test_pieces(len(rows)):
            piece = rows[start:stop]
            content = samples.dense(piece).tobytes() + samples.y[piece].tobytes()
            found.append(hashlib.sha256(content).hexdigest())
        return found

    def _hidden(self, rows: Rows) -> Rows:
        """Return the rows without the piece that is revealed before the first datum."""
        pieces = self._market.rule.test_pieces(len(rows))
        if len(pieces) < 2:
            return rows
        drawn = self._market.kernel.streams.rng("market piece").integers(len(pieces))
        start, stop = pieces[int(drawn)]
        return np.delete(rows, np.arange(start, stop))

    def advance(self, *, ended: bool) -> None:
        """Let the rule go on to its next stage, and pay what it decides."""
        market = self._market
        now_s = market.now_s
        if not self._noted:
            self._noted = True
            provider = market.scenario.market.provider
            market.kernel.incidents.note(now_s, provider, None, MISMATCH)
        seen = Stage(
            time_s=now_s,
            data=tuple(market.data),
            ended=ended,
            accuracies=self.accuracies,
            tested=self._tested,
            provider=market.provider,
        )
        market.pay(market.rule.advance(market.memory, seen))
        next_s = market.rule.deadline_s(market.memory)
        if next_s <= now_s and not ended:
            raise broken(market.rule, "deadline_s", f"asks for {next_s} after the stage of {now_s}")

    def accuracies(self, data: Sequence[int]) -> NDArray[np.float64]:
        """Return accuracies on the committed test set; see `Evaluator`."""
        market = self._market
        model = market.new_model()
        labels = market.samples.y[self._rows]
        watch = Watch(model)
        slots = np.array([watch.add(row) for row in self._rows.tolist()])
        right = np.count_nonzero(watch.predictions()[slots] == labels)
        found = [right]
        for index in data:
            datum, version = market.data[index], model.version
            model.update(datum.row, datum.label)
            if model.version != version:  # most data teach a perceptron nothing
                right = np.count_nonzero(watch.predictions()[slots] == labels)
            found.append(right)
        return np.array(found) / len(labels)

    # --- checkpoints ----------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        return {"rows": self._rows.tolist(), "tested": self._tested, "noted": self._noted}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self._rows = np.array(state["rows"], dtype=np.int64)
        self._tested, self._noted = state["tested"], state["noted"]
