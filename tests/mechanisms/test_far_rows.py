"""Rows of strangers at any magnitude: everything that acts on rows, against exact references.

What is tested is found in the registries: a plug-in that sees rows and has no reference fails here.
"""

import dataclasses
import inspect
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents import registries as behaviours
from experiments.conformance.behaviours import LAYOUT, WIDTH
from mechanisms import geometry
from mechanisms import krum as krum_rules
from mechanisms import registries as rules
from mechanisms.aggregators.bulyan import around_median
from mechanisms.vocabulary import (
    AggregationObservation,
    BlockObservation,
    MiningObservation,
    UpdateRecord,
    ValidationObservation,
    WorkerObservation,
)
from sim.privacy import clip_and_blur
from tests.mechanisms import references
from tests.mechanisms.references import exact

TOLERANCE = Decimal("1e-5")
FEW = settings(max_examples=25)


@dataclasses.dataclass
class Crowd:
    """Rows `x` of which `bad` can be at any magnitude; `size` is that of the others, by column."""

    x: np.ndarray
    bad: list[int]
    base: np.ndarray
    root: np.ndarray
    samples: np.ndarray
    size: np.ndarray


@st.composite
def crowds(draw, least=1, most=19, width=None):
    """Honest rows around a model, some of them equal, and a minority of attackers.

    Attackers are far by up to 1e30: each by itself, opposite to the one before, equal to it, or
    next to it.
    """
    n = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    width = width or draw(st.integers(1, 5))
    base, root = rng.standard_normal((2, width)).astype(np.float32)
    scale = draw(st.sampled_from((0.01, 1.0, 30.0)))
    x = (base + scale * rng.standard_normal((n, width))).astype(np.float32)
    if draw(st.booleans()):
        x[rng.integers(n, size=n // 3)] = x[0]
    bad = rng.permutation(n)[: draw(st.integers(0, (n - 1) // 2))].tolist()
    good = np.delete(x, bad, axis=0)
    for before, i in zip([None, *bad], bad, strict=False):
        how = draw(st.sampled_from(("alone", "opposite", "equal", "near")))
        far = 10 ** draw(st.floats(-3, 30)) * rng.standard_normal(width)
        if before is not None and how != "alone":
            far = {"opposite": -x[before], "equal": x[before], "near": x[before] * 1.0001}[how]
        x[i] = far
    return Crowd(
        x=x,
        bad=bad,
        base=base,
        root=root,
        samples=rng.integers(1, 1_000, n),
        size=exact(np.maximum(np.abs(good).max(axis=0), np.abs(base))),
    )


def observation(crowd):
    return AggregationObservation(
        round=1,
        workers=tuple(range(len(crowd.x))),
        updates=crowd.x,
        samples=crowd.samples,
        global_model=crowd.base,
        root=crowd.root,
    )


def check_close(found, expected, size):
    """The error is a part of the exact value or of the honest size, never of a far row."""
    for value, right, honest in zip(exact(found), expected, size, strict=True):
        assert abs(value - right) <= TOLERANCE * max(abs(right), honest), (float(value), right)


def made(registry):
    """Return (name, params) of all examples of a registry's plug-ins."""
    return [
        pytest.param(name, params, id=f"{name}-{i}")
        for name in registry.names()
        for i, params in enumerate(registry.get(name).examples)
    ]


def seeing(registry, names, attribute):
    """Return the names of plug-ins that declare to see one of `names`, in any example."""
    return {
        name
        for name in registry.names()
        for params in registry.get(name).examples
        if names & set(getattr(registry.create(name, params), attribute))
    }


# --- every plug-in that sees rows has a reference ---------------------------------------------

COPIES = {"free-ride-copy"}
"""Attacks that see the rows of others and send one of them as it is."""
MEASURED = {"adaptive-noise"}
"""Attacks that see accuracies and nothing of the rows of others."""


def test_every_plugin_that_sees_rows_has_a_reference():
    assert set(rules.aggregators.names()) == references.AGGREGATORS.keys()
    assert set(rules.transforms.names()) == references.TRANSFORMS.keys()
    assert seeing(rules.validators, {"updates"}, "observes") == references.VALIDATORS.keys()
    for payers in (rules.payouts, rules.parts):
        found = seeing(payers, {"updates", "aggregate"}, "observes")
        assert found == (references.PAYOUTS.keys() if payers is rules.payouts else set())
    assert seeing(behaviours.workers, {"others"}, "knows") == references.ATTACKS.keys() | COPIES
    assert seeing(behaviours.workers, {"validation"}, "knows") == MEASURED
    assert seeing(behaviours.miners, {"updates"}, "knows") == {"tamper"}


def test_every_function_on_rows_is_tested_here():
    functions = {
        name
        for module in (geometry, krum_rules)
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    }
    assert functions == TESTED


TESTED = {
    "choose",
    "clip_factors",
    "closest_sums",
    "column_blocks",
    "combine",
    "cosines",
    "cosines_to_sum",
    "far_apart",
    "finite_rows",
    "gram",
    "inner_products",
    "lowest",
    "means",
    "row_sizes",
    "middle",
    "squared_distances",
    "squared_norms",
    "tolerated",
}
"""Functions of `geometry` and `krum`: each is called in a test below, or by a rule that is."""


# --- aggregation rules and transforms ---------------------------------------------------------


def half_of_the_chosen_far():
    """FoolsGold uses four of these rows, two of them far, opposite and of equal weight."""
    x = [
        (-0.57154077, 0.50270796),
        (-0.54581636, 0.49700728),
        (-0.55959588, 0.49399224),
        (-6.36851e11, -7.678819e11),
        (-0.56441337, 0.49602103),
        (6.36851e11, 7.678819e11),
        (-0.54371607, 0.49029368),
    ]
    x, base = np.array(x, np.float32), np.array([-0.5448962, 0.4936046], np.float32)
    root, samples = np.array([1.237436, 0.08355293], np.float32), np.ones(7, dtype=int)
    return Crowd(x, [5, 3], base, root, samples, exact(np.abs(x[[0, 0]]).max(axis=0)))


@pytest.mark.parametrize(("name", "params"), made(rules.aggregators))
@FEW
@example(half_of_the_chosen_far(), 0)
@given(crowds(least=1), st.integers(0, 8))
def test_aggregation_rule(name, params, crowd, f):
    if hasattr(rules.aggregators.create(name, params).params, "f"):
        params = {**params, "f": f}
    seen, rule = observation(crowd), rules.aggregators.create(name, params)
    expected = references.AGGREGATORS[name](seen, rule.params)
    found = rule.aggregate(seen)
    if name != "geometric-median":
        check_close(found, expected, crowd.size)
        return
    # Near its minimum the sum of distances is flat: the sums are compared, not the points.
    rows, n = exact(crowd.x), len(crowd.x)
    more = sum(references.length(exact(found) - x) - references.length(expected - x) for x in rows)
    assert more <= TOLERANCE * n * max(crowd.size)


@pytest.mark.parametrize("name", ["krum", "multi-krum", "bulyan", "trimmed-mean", "median"])
@FEW
@given(crowds(least=11))
def test_robust_rules_stay_in_the_box_of_honest_rows(name, crowd):
    """With no more than f attackers, whatever they send."""
    f = len(crowd.bad)
    params = {} if name == "median" else {"f": f}
    asked = {"bulyan": 4 * f + 3, "trimmed-mean": 2 * f + 1, "median": 2 * f + 1}
    if len(crowd.x) < asked.get(name, 2 * f + 3):
        return
    rule = rules.aggregators.create(name, params)
    row, honest = rule.aggregate(observation(crowd)), np.delete(crowd.x, crowd.bad, axis=0)
    reach = crowd.size.astype(float)
    if name in ("krum", "multi-krum"):
        # An attacker may be chosen, but only one that lies among the honest ones.
        reach = np.full(len(reach), 4 * np.sqrt(len(honest)) * reach.max())
    assert (row >= honest.min(axis=0) - reach).all()
    assert (row <= honest.max(axis=0) + reach).all()


def test_krum_is_not_controlled_by_one_far_row():
    """The first row is off by 1, the last at 1e5: neither is returned."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.1, (12, 50)).astype(np.float32)
    x[0] += 1
    x[11] = 1e5
    crowd = Crowd(x, [0, 11], x[1], x[1], np.ones(12, dtype=int), exact(np.abs(x[1])))
    scores = references.krum_scores(references.squared_distances(exact(x)), range(12), 8)
    found = rules.aggregators.create("krum", {"f": 2}).aggregate(observation(crowd))
    assert (found == x[int(np.argmin(scores))]).all()
    for name in ("krum", "multi-krum", "bulyan"):
        row = rules.aggregators.create(name, {"f": 2}).aggregate(observation(crowd))
        assert np.abs(row).max() < 0.5


@pytest.mark.parametrize(("name", "params"), made(rules.transforms))
@FEW
@given(crowds(), st.integers(0, 8))
def test_transform(name, params, crowd, f):
    if hasattr(rules.transforms.create(name, params).params, "f"):
        params = {**params, "f": f}
    seen, transform = observation(crowd), rules.transforms.create(name, params)
    expected = references.TRANSFORMS[name](seen, transform.params)
    # A row of an attacker may carry the rounding of its own size.
    for i, (row, right) in enumerate(zip(transform.apply(seen), expected, strict=True)):
        size = crowd.size
        if i in crowd.bad:
            size = np.full(len(size), max(map(max, np.abs(exact(crowd.x)))))
        check_close(row, right, size)


# --- validation rules, payouts, protection ----------------------------------------------------


@pytest.mark.parametrize("name", references.VALIDATORS)
@FEW
@given(crowds(least=1))
def test_validation_rule(name, crowd):
    n = len(crowd.x)
    rule = rules.validators.create(name)
    seen = ValidationObservation(
        round=1,
        validator=99,
        workers=tuple(range(n)),
        baseline_accuracy=0.5,
        update_accuracies=np.full(n, 0.5),
        updates=crowd.x,
    )
    assert rule.verdicts(seen).tolist() == references.VALIDATORS[name](seen, rule.params)


@pytest.mark.parametrize(
    ("name", "params"), [p for p in made(rules.payouts) if p.values[0] in references.PAYOUTS]
)
@FEW
@given(crowds())
def test_payout(name, params, crowd):
    rule = rules.payouts.create(name, params)
    records = tuple(
        UpdateRecord.from_votes(
            worker=i, claimed_samples=1, claimed_epochs=1, positive=(), negative=()
        )
        for i in range(len(crowd.x))
    )
    seen = BlockObservation(
        round=1, miner=None, records=records, updates=crowd.x, start=crowd.base, result=crowd.base
    )
    weights = rule.weights(seen.shown_to(rule.observes), list(records))
    expected = references.PAYOUTS[name](seen, rule.params)
    if "updates" in rule.observes:
        for w, right in zip(weights.values(), expected, strict=True):
            assert abs(Decimal(w) - right) < Decimal("1e-8")


@FEW
@given(crowds())
def test_a_row_that_is_no_number_is_paid_nothing_and_costs_nobody_else(crowd):
    rule = rules.payouts.create("cosine")
    records = tuple(
        UpdateRecord.from_votes(
            worker=i, claimed_samples=1, claimed_epochs=1, positive=(), negative=()
        )
        for i in range(len(crowd.x) + 1)
    )
    bad = np.full((1, crowd.x.shape[1]), np.inf, dtype=np.float32)
    seen = BlockObservation(
        round=1,
        miner=None,
        records=records,
        updates=np.concatenate([bad, crowd.x]),
        start=crowd.base,
    )
    without = dataclasses.replace(seen, records=records[1:], updates=crowd.x)
    weights = rule.weights(seen, list(records))
    assert weights.pop(0) == 0
    assert weights == rule.weights(without, list(records[1:]))


@FEW
@given(crowds(), st.floats(0.01, 100))
def test_clipping_of_private_updates(crowd, clip):
    base = exact(crowd.base)
    for row in crowd.x:
        right = base + references.clip(exact(row) - base, clip)
        check_close(clip_and_blur(row, crowd.base, clip), right, crowd.size)


# --- attacks ----------------------------------------------------------------------------------


def attack_seen(behaviour, crowd, updates):
    k = len(updates)
    base = np.tile(crowd.base, (k, 1))
    known = {
        "others": crowd.x,
        "previous": base,
        "rules": {"validation": {"rule": "threshold", "params": {"threshold": 0.1}}},
        "validation": lambda rows: 1 / (1 + np.abs(rows).max(axis=1)),
    }
    shown = {name: known[name] for name in behaviour.knows}
    if "previous" in shown:
        shown["previous_models"] = shown.pop("previous")
    return WorkerObservation(
        round=1,
        devices=tuple(range(k)),
        updates=updates,
        global_models=base,
        samples=np.full(k, 10),
        epochs=np.full(k, 5),
        layout=LAYOUT,
        rngs=tuple(np.random.default_rng(i) for i in range(k)),
        **shown,
    )


@pytest.mark.parametrize(
    ("name", "params"),
    [
        *(p for p in made(behaviours.workers) if p.values[0] in references.ATTACKS),
        *(
            pytest.param(name, {"direction": d}, id=f"{name}-{d}")
            for name in ("min-max", "min-sum")
            for d in ("unit", "sign")
        ),
    ],
)
@FEW
@given(crowds(least=2, most=9, width=WIDTH))
def test_attack_on_rows_of_others(name, params, crowd):
    attack = behaviours.workers.create(name, params)
    seen = attack_seen(attack, crowd, crowd.x[:3])
    with np.errstate(all="raise", under="ignore"):
        row = attack.submit(seen).updates[0]
    expected = references.ATTACKS[name](seen, attack.params)
    # What an attacker sends is the mean and a multiple of a direction: it may lose a part of that.
    size = np.full(WIDTH, max(*np.abs(expected), *crowd.size, *np.abs(sum(exact(crowd.x)))))
    check_close(row, expected, size)


@pytest.mark.parametrize(("name", "params"), made(behaviours.workers))
@FEW
@given(crowds(least=3, most=6, width=WIDTH))
def test_a_far_fellow_changes_nobody_elses_row(name, params, crowd):
    """Devices of one group are trained apart: the row of one does not touch what others send."""
    attack = behaviours.workers.create(name, params)
    calm = crowd.x[:3].clip(-100, 100)
    wild = calm.copy()
    wild[2] = np.float32(1e30)
    assert np.array_equal(
        attack.submit(attack_seen(attack, crowd, calm)).updates[:2],
        attack.submit(attack_seen(attack, crowd, wild)).updates[:2],
    )


@FEW
@given(crowds())
def test_tampering_multiplies_each_row_by_itself(crowd):
    tamper = behaviours.miners.create("tamper")
    records = tuple(
        UpdateRecord.from_votes(
            worker=i, claimed_samples=1, claimed_epochs=1, positive=(), negative=()
        )
        for i in range(len(crowd.x))
    )
    seen = MiningObservation(
        round=1, miner=99, records=records, rng=np.random.default_rng(0), updates=crowd.x
    )
    for i, row in tamper.mine(seen).replaced.items():
        assert np.array_equal(row, -crowd.x[i])


# --- distances, sums and cosines --------------------------------------------------------------


def check_relative(found, expected, part):
    for value, right in zip(exact(found).ravel(), np.ravel(expected), strict=True):
        assert abs(value - right) <= Decimal(part) * abs(right)


@FEW
@given(crowds())
def test_distances(crowd):
    x, base = exact(crowd.x), exact(crowd.base)
    expected = np.array(references.squared_distances(x), dtype=object)
    found = geometry.squared_distances(crowd.x)
    check_relative(found, expected, 1e-10)
    assert (found == found.T).all()
    norms = [references.dot(row - base, row - base) for row in x]
    check_relative(geometry.squared_norms(crowd.x, crowd.base), norms, 1e-12)
    check_relative(geometry.squared_norms(crowd.x), [references.dot(r, r) for r in x], 1e-12)
    check_relative(geometry.middle(crowd.x), references.columns(x, references.midpoint), 1e-12)


@FEW
@given(crowds(least=11), st.integers(1, 3), st.integers(1, 8))
def test_krum_among_rows(crowd, f, count):
    distances = geometry.squared_distances(crowd.x)
    right = references.squared_distances(exact(crowd.x))
    everyone = range(len(crowd.x))
    check_relative(
        krum_rules.closest_sums(distances, count),
        references.krum_scores(right, everyone, count),
        1e-10,
    )
    f = min(f, (len(crowd.x) - 3) // 4)
    rows = len(crowd.x) - 2 * f
    chosen = sorted(references.repeated_krum(right, f, rows))
    assert krum_rules.choose(distances, f, rows).tolist() == chosen


@FEW
@given(crowds(), st.booleans())
def test_sums(crowd, even):
    weights = crowd.samples / 7 if not even else np.ones(len(crowd.x))
    for origin in (None, crowd.base):
        x = exact(crowd.x) - exact(np.zeros_like(crowd.base) if origin is None else origin)
        size = sum(exact(weights)) * crowd.size * Decimal("1e-5")
        check_close(geometry.combine(weights, crowd.x, origin), exact(weights) @ x, size)
    x = exact(crowd.x.T)
    found = geometry.means(np.ascontiguousarray(crowd.x.T))
    check_close(found, [sum(row) / len(row) for row in x], crowd.size * Decimal("1e-5"))


@FEW
@given(crowds())
def test_cosines(crowd):
    x = exact(crowd.x) - exact(crowd.base)

    def check(found, expected):
        for value, right in zip(exact(found).ravel(), np.ravel(expected), strict=True):
            assert abs(value - right) < Decimal("1e-8")

    check(
        geometry.cosines(crowd.x, crowd.base),
        np.array([[references.cosine(a, b) for b in x] for a in x], dtype=object),
    )
    check(
        geometry.cosines_to_sum(crowd.x, crowd.base), [references.cosine(row, sum(x)) for row in x]
    )
    check(
        geometry.cosines_to_sum(crowd.x, crowd.base, others=True),
        [references.cosine(row, sum(x) - row) for row in x],
    )
    lengths = [references.length(row) for row in x]
    along = geometry.inner_products(crowd.x, crowd.base, crowd.root)
    for value, row, own in zip(exact(along), x, lengths, strict=True):
        error = abs(value - references.dot(row, exact(crowd.root)))
        assert error <= own * Decimal("1e-12") * references.length(exact(crowd.root))


def test_far_values_before_the_window_leave_its_mean_alone():
    near = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07]
    values = np.array([[-1e17, *near]], dtype=np.float32)
    assert around_median(values, 4)[0] == pytest.approx(0.035)


def test_equal_scores_are_equal_to_each_other_not_to_the_largest():
    assert geometry.lowest(np.array([2.0, 1.0, 1.0 + 1e-12, 1e60])) == 1
    assert geometry.lowest(np.array([1e30, 5.0, 1.0])) == 2
    assert geometry.lowest(np.array([0.0, 0.0, 1e30])) == 0
