"""Blocks, plays and other observations drawn at random by Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mechanisms.vocabulary import BlockObservation, Conduct, UpdateRecord
from mechanisms.wallets import address, claim

DEVICES = 22
TARGET = np.linspace(-1, 1, 6, dtype=np.float32)


def holds_for(*, examples: int = 25, **drawn: Any) -> Callable[[Any], Any]:
    """Make a test of what must hold for everything that the strategies draw.

    Pytest runs it under the settings that are in force. `fedstake.check` runs its attribute
    `fixed`, whose draws are seeded and which keeps no database of failures.
    """
    # One test method runs in the classes of many plug-ins; it keeps no state, so that is intended.
    common: dict[str, Any] = {
        "max_examples": examples,
        "deadline": None,
        "suppress_health_check": [HealthCheck.differing_executors],
    }
    fixed: dict[str, Any] = {
        "database": None,
        "derandomize": True,
        "report_multiple_bugs": False,
        "phases": (Phase.generate, Phase.shrink),
        "suppress_health_check": list(HealthCheck),
    }

    def decorate(test: Any) -> Any:
        decorated: Any = settings(**common)(given(**drawn)(test))
        decorated.fixed = settings(**(common | fixed))(given(**drawn)(test))
        return decorated

    return decorate


class Utility:
    """Accuracies of means that are highest at `TARGET`, in steps as real ones are.

    A coalition of nobody has the accuracy of `start`.
    """

    def __init__(self, updates: np.ndarray, start: np.ndarray) -> None:
        self.updates = updates.astype(np.float64)
        self.start = start.astype(np.float64)

    def __call__(self, members: np.ndarray) -> np.ndarray:
        assert members.dtype == bool, "coalitions must be bool[m, n]"
        assert members.shape == (len(members), len(self.updates)), "coalitions must be bool[m, n]"
        return np.array([self._accuracy(chosen) for chosen in members])

    def _accuracy(self, chosen: np.ndarray) -> float:
        mean = self.updates[chosen].mean(0) if chosen.any() else self.start
        return round(1 / (1 + float(np.linalg.norm(mean - TARGET))), 3)


@st.composite
def blocks(draw: Any) -> BlockObservation:
    """Draw a block: workers are devices 0 to 9, validators 10 to 13, miners 20 and 21."""
    workers = draw(st.lists(st.integers(0, 9), unique=True, max_size=6))
    validators = list(range(10, 10 + draw(st.integers(1, 4))))
    drawn = [draw(records(worker, validators)) for worker in sorted(workers)]
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    updates = rng.standard_normal((len(drawn), 6)).astype(np.float32)
    start = rng.standard_normal(6).astype(np.float32)
    stakes = draw(st.lists(st.integers(0, 10**6), min_size=DEVICES, max_size=DEVICES))
    return BlockObservation(
        round=draw(st.integers(1, 30)),
        miner=draw(st.sampled_from((20, 21, None))),
        records=tuple(drawn),
        memory={},
        stakes=tuple(stakes),
        updates=updates,
        start=start,
        result=updates.mean(0) if drawn else start,
        utility=Utility(updates, start),
        conduct=draw(conducts(workers, validators)),
        wallets={w: draw(st.sampled_from((claim(address(w)), "0" * 64))) for w in workers},
    )


@st.composite
def records(draw: Any, worker: int, validators: list[int]) -> UpdateRecord:
    """Draw the record of an update: each validator votes for it, against it, or not at all."""
    n = len(validators)
    votes = draw(st.lists(st.sampled_from((True, False, None)), min_size=n, max_size=n))
    positive = tuple(v for v, vote in zip(validators, votes, strict=True) if vote is True)
    negative = tuple(v for v, vote in zip(validators, votes, strict=True) if vote is False)
    samples = draw(st.integers(0, 10_000))
    epochs = draw(st.integers(0, 20))
    scores = st.sampled_from((-1.0, 0.0, 0.25, 1.0))
    return UpdateRecord(
        worker=worker,
        claimed_samples=samples,
        claimed_epochs=epochs,
        positive=positive,
        negative=negative,
        accepted=len(positive) >= len(negative),
        verified_samples=samples // 2,
        verified_epochs=epochs,
        reports=tuple((v, draw(scores)) for v in validators),
    )


@st.composite
def conducts(draw: Any, workers: list[int], validators: list[int]) -> Conduct:
    """Draw what a coordinator's contract knows of a round."""
    fault = draw(st.sampled_from(("", "wrong", "absent")))
    accusers: frozenset[int] = frozenset()
    if not fault:
        accusers = draw(st.frozensets(st.sampled_from(validators)))
    return Conduct(
        aggregator=draw(st.sampled_from((20, 21, None))),
        unrevealed=draw(st.frozensets(st.integers(0, 9))) - set(workers),
        malformed=frozenset(),
        fault=fault,
        challenger=draw(st.sampled_from(validators)) if fault == "wrong" else None,
        false_challengers=accusers,
    )


plays = st.lists(st.tuples(st.integers(0, 2), st.floats(-100, 100)), max_size=8).map(tuple)
"""Plays of a rational device: (which of three strategies, utility)."""
