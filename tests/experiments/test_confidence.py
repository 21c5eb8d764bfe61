"""Confidence sequences: closed forms, and coverage by whoever looks after every run."""

import math

import numpy as np
import pytest

from experiments.confidence import PRIOR, Sequence, bernstein_sequence, t_sequence

ALPHA = 0.05
REPETITIONS = 1_000
LOOKS = (*range(2, 24), *range(24, 161, 8))


def misses(draw, mean, sequence):
    """Share of repetitions in which the interval misses the mean at some look."""
    missed = 0
    for repetition in range(REPETITIONS):
        values = draw(np.random.default_rng([7, repetition]), LOOKS[-1])
        for n in LOOKS:
            bound = sequence.bound(values[:n])
            if not bound.low <= mean <= bound.high:
                missed += 1
                break
    return missed / REPETITIONS


def likelihood_ratio(x, mean):
    """E_n by the numbers of a grid of effects instead of the closed form."""
    y = x - mean
    n, total, squares = len(y), y.sum(), (y**2).sum()
    c2 = PRIOR**2
    return math.sqrt(c2 / (n + c2)) * (squares / (squares - total**2 / (n + c2))) ** (n / 2)


def test_the_ends_of_a_t_interval_are_where_the_ratio_is_one_over_alpha():
    x = np.random.default_rng(0).normal(3.0, 2.0, 25)
    bound = t_sequence(x, ALPHA)
    for end in (bound.low, bound.high):
        assert likelihood_ratio(x, end) == pytest.approx(1 / ALPHA, rel=1e-9)
    assert likelihood_ratio(x, bound.mean) < 1


def test_the_ratio_is_the_mixture_of_normal_likelihoods():
    """With the spread integrated out: the closed form against quadrature of both integrals."""
    x = np.array([0.3, 1.4, 0.9, -0.2, 1.1])
    n = len(x)
    effects = np.linspace(-25, 25, 5_001)
    scales = np.exp(np.linspace(-4, 4, 1_601))
    prior = np.exp(-0.5 * (effects * PRIOR) ** 2) * PRIOR / math.sqrt(2 * math.pi)

    def density(effect):
        z = (x[None, :] - effect * scales[:, None]) / scales[:, None]
        inner = np.exp(-0.5 * (z**2).sum(axis=1)) / scales**n
        return np.trapezoid(inner / scales, scales)  # right Haar: d sigma / sigma

    alternative = np.trapezoid(prior * [density(e) for e in effects], effects)
    assert alternative / density(0.0) == pytest.approx(likelihood_ratio(x, 0.0), rel=1e-3)


def test_too_few_values_have_no_interval():
    assert t_sequence(np.array([1.0]), ALPHA).low == -math.inf
    assert math.isnan(Sequence().bound([]).mean)


def test_values_that_are_alike_do_not_prove_that_all_are():
    same = np.full(6, 5.0)
    assert Sequence(0.001, least=2.0).bound(same).half > 2.0
    assert Sequence(0.001, least=2.0).bound(np.full(200, 5.0)).half < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.01, 1.0, 1_000.0])
def test_normal_values_are_covered_at_every_look(spread):
    def draw(rng, n):
        return rng.normal(-3, spread, n)

    assert misses(draw, -3, Sequence(ALPHA)) <= ALPHA


BOUNDED = {
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "rare": (lambda rng, n: (rng.random(n) < 0.05).astype(float), 0.05),
    "skewed": (lambda rng, n: rng.beta(0.2, 1.8, n), 0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind == "rare" else pytest.mark.soak) for kind in BOUNDED],
)
def test_bounded_values_of_any_distribution_are_covered_at_every_look(kind):
    draw, mean = BOUNDED[kind]
    sequence = Sequence(ALPHA, "empirical-bernstein", limits=(0.0, 1.0))
    assert misses(draw, mean, sequence) <= ALPHA


def test_the_bernstein_interval_shrinks_and_scales():
    x = np.random.default_rng(1).random(4_000)
    bound = bernstein_sequence(x, ALPHA, (0.0, 1.0))
    assert bound.low < 0.5 < bound.high
    assert bound.half < 0.05
    scaled = bernstein_sequence(1_000 * x - 500, ALPHA, (-500.0, 500.0))
    assert scaled.low == pytest.approx(1_000 * bound.low - 500)
    assert scaled.high == pytest.approx(1_000 * bound.high - 500)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"method": "tt"}, "method = 'tt': no such method"),
        ({"method": "empirical-bernstein"}, "limits = None: must be the least"),
        ({"method": "empirical-bernstein", "limits": (1.0, 1.0)}, "limits"),
    ],
)
def test_what_cannot_be_is_refused(options, wrong):
    with pytest.raises(ValueError, match=wrong):
        Sequence(**options)


def test_a_value_outside_the_limits_is_refused():
    sequence = Sequence(method="empirical-bernstein", limits=(0.0, 1.0))
    with pytest.raises(ValueError, match=r"a value of 1\.5 lies outside"):
        sequence.bound([0.5, 1.5])
