"""Suite of learners."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from experiments.conformance.common import Conformance
from experiments.conformance.generated import holds_for, plays
from mechanisms.vocabulary import ChoiceObservation

STRATEGIES = ("a", "b", "c")


class LearnerConformance(Conformance):
    """One of the strategies, the same for the same stream, whatever was played before."""

    @holds_for(own=plays, history=plays, index=st.integers(0, 9), seed=st.integers(0, 99))
    def test_choice(self, own, history, index, seed):
        for learner in self.made():
            first = learner.choose(self._seen(own, history, index, seed))
            assert type(first) is int, f"the choice must be an integer, not {first!r}"
            assert first in range(len(STRATEGIES)), f"there is no strategy {first}"
            again = learner.choose(self._seen(own, history, index, seed))
            assert first == again, "the same stream must give the same choice"

    @staticmethod
    def _seen(own: Any, history: Any, index: int, seed: int) -> ChoiceObservation:
        return ChoiceObservation(
            round=3,
            device=5,
            index=index,
            strategies=STRATEGIES,
            own=own,
            peers=history[-3:],
            history=history,
            rng=np.random.default_rng(seed),
        )
