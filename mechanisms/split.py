"""Dividing base units without losing or inventing any."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm


def split(total: int, weights: Mapping[int, float]) -> dict[int, int]:
    """floor(total * w_i / sum w) base units for each key with a positive weight, in exact arithmetic.

    Equal weights get equal amounts; what rounding leaves over, fewer units than there are keys, is not handed out.
    """
    ratios = {key: w.as_integer_ratio() for key, w in weights.items() if w > 0}
    scale = lcm(*(below for _, below in ratios.values()))
    exact = {key: above * (scale // below) for key, (above, below) in ratios.items()}
    whole = sum(exact.values())
    return {key: total * w // whole for key, w in exact.items()}


def loss(total: int, fraction: float) -> int:
    """ceil(total * fraction): what is lost is rounded up, so that no stake is too small to lose."""
    return -int(-total * Fraction(repr(fraction)) // 1)


def part(total: int, fraction: float) -> int:
    """floor(total * fraction) in exact arithmetic, the fraction as it is written: 0.1 is a tenth."""
    return int(total * Fraction(repr(fraction)))
