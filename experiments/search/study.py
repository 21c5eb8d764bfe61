"""A study: what is asked next, and what is told of it; seeded, so that it can be repeated."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.search.space import Draws

AT_ONCE = 4
"""Trials of a stage: a constant, so that a search does not depend on the number of processes."""
AT_RANDOM = 10
"""Trials before the sampler believes that it knows something."""
MOST_ASKED = 20
"""Trials asked for each one that is played, at most: others are known already, or refused."""

EXCESS = "excess"


class Study:
    """Asks for points and is told their values; larger values are better.

    The sampler is the tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS 24), all
    parameters together. The same seed and the same values give the same points: a search goes on
    after a crash by telling recorded values again.

    Args:
        seed: of the sampler.
        starts: suggestions to begin with, by name of the parameter.
        bounded: whether points have an excess over a bound, which must not be above 0.
    """

    def __init__(
        self, seed: int, starts: Iterable[Mapping[str, Any]] = (), *, bounded: bool = False
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = TPESampler(
                seed=seed,
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=AT_RANDOM,
                constraints_func=_excess if bounded else None,
            )
        self._study = optuna.create_study(sampler=sampler, direction="maximize")
        for start in starts:
            self._study.enqueue_trial(dict(start))
        self.asked = 0

    def ask(self, draw: Callable[[Draws], Any]) -> tuple[Trial, Any]:
        """Return a trial and the point that is drawn with it."""
        self.asked += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trial = self._study.ask()
            return trial, draw(trial)

    def tell(self, trial: Trial, value: float | None, excess: float = 0.0) -> None:
        """Tell the value of a trial; None where the point was refused or failed.

        Refused points count as worse than all others, so that the sampler avoids their like.
        """
        trial.set_user_attr(EXCESS, excess)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if value is None or not math.isfinite(value):
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, value)


def _excess(trial: FrozenTrial) -> tuple[float]:
    return (float(trial.user_attrs.get(EXCESS, 0.0)),)
