"""Division of base units that loses and invents none."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm


def split(total: int, weights: Mapping[int, float]) -> dict[int, int]:
    """Return floor(total * w_i / sum w) for each key with a positive weight, in exact arithmetic.

    Equal weights get equal amounts. The remainder, fewer units than there are keys, stays
    undivided.
    """
    ratios = {key: w.as_integer_ratio() for key, w in weights.items() if w > 0}
    scale = lcm(*(below for _, below in ratios.values()))
    exact = {key: above * (scale // below) for key, (above, below) in ratios.items()}
    whole = sum(exact.values())
    return {key: total * w // whole for key, w in exact.items()}


def loss(total: int, fraction: float) -> int:
    """Return ceil(total * fraction): rounded up, so that no stake is too small to lose."""
    return -int(-total * Fraction(repr(fraction)) // 1)


def part(total: int, fraction: float) -> int:
    """Return floor(total * fraction), exact for the fraction as it is written: 0.1 is a tenth."""
    return int(total * Fraction(repr(fraction)))
