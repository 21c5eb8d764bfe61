"""Suites of the rules of a data market, and of its fees."""

from __future__ import annotations

from experiments.conformance.common import Conformance


class MarketConformance(Conformance):
    """A refusal changes nothing, and no sequence of calls pays more than was put in."""


class FeeConformance(Conformance):
    """Fees are whole, never negative, and together at most what was paid."""
