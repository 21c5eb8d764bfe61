"""The digits with wrong labels among those that are trained and validated on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mechanisms.plugin import param
from sim.data.sources.base import Dataset
from sim.data.sources.digits import Digits

SEED = 20_260
"""Of the wrong labels, which are the same in every run."""


class NoisyDigits(Digits):
    """Digits of which a share of the training labels is wrong: another class, drawn uniformly.

    Validators judge with samples that are held out from training, so that they are misled as well.
    The test images keep their labels.
    """

    name = "digits-noisy"
    summary = "scikit-learn digits of which a share of the training labels is wrong"
    reference = "symmetric label noise: Patrini et al. 2017, arXiv:1609.03683"
    examples = ({}, {"wrong": 0.0})

    @dataclass(frozen=True)
    class Params:
        wrong: float = param(0.3, help="share of the training labels that is wrong", ge=0, le=1)

    params: Params

    def load(self, folder: Path) -> Dataset:
        clean = super().load(folder)
        rng = np.random.default_rng(SEED)
        samples = len(clean.y_train)
        chosen = rng.permutation(samples)[: round(self.params.wrong * samples)]
        labels = clean.y_train.copy()
        steps = rng.integers(1, clean.classes, size=len(chosen))
        labels[chosen] = (labels[chosen] + steps) % clean.classes
        return replace(clean, name=self.name, y_train=labels)
