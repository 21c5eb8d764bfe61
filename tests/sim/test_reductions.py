"""Rules that run with less than was asked for: told per round, in the summary and in the report."""

import dataclasses

import numpy as np
import pytest

from experiments import load_scenario, run
from experiments.reports import report
from mechanisms import registries as rules
from mechanisms.vocabulary import AggregationObservation
from tests.conftest import TINY, TINY_SERVER

KRUM = {"aggregation.rule": "krum", "aggregation.params": {"f": 3}}
LABEL = "ran with less than asked for"


def reduced(preset, changes, folder):
    result = run(load_scenario(preset, changes), folder)
    rows = result.table("reduced").drop(columns="round").drop_duplicates()
    return result, [tuple(row) for row in rows.itertuples(index=False)]


def told(result):
    return result.summary().values.get(LABEL)


def test_krum_with_few_updates(tmp_path):
    result, rows = reduced("fedavg", {**TINY_SERVER, **KRUM, "devices": 4}, tmp_path / "run")
    assert rows == [("krum", "f", 3, 0, 4)]
    assert result.table("reduced")["round"].tolist() == [1, 2, 3]
    assert told(result) == "krum: f = 0, not 3, in 3 of 3 rounds"
    page = report(result, tmp_path / "report", figures="accuracy").read_text()
    assert page.count("krum: f = 0, not 3, in 3 of 3 rounds") == 1


def test_nothing_is_told_where_there_is_enough(tmp_path):
    result, rows = reduced("fedavg", {**TINY_SERVER, **KRUM, "devices": 9}, tmp_path / "run")
    assert rows == []
    assert told(result) is None


def test_transforms_and_rules_are_told_apart(tmp_path):
    changes = {
        **TINY_SERVER,
        "devices": 4,
        "aggregation.rule": "multi-krum",
        "aggregation.params": {"f": 0, "keep": 6},
        "aggregation.before": [{"rule": "nearest-neighbour-mixing", "params": {"f": 2}}],
    }
    _, rows = reduced("fedavg", changes, tmp_path / "run")
    assert rows == [("multi-krum", "keep", 6, 4, 4), ("nearest-neighbour-mixing", "f", 2, 1, 4)]


def test_votes_with_few_validators_and_samples(tmp_path):
    changes = {
        **TINY,
        "validation.rule": "folds",
        "validation.params": {"folds": 500},
        "validation.committee": 2,
        "availability.kind": "per-round",
        "availability.online": 0.6,
        "rounds": 12,
    }
    _, rows = reduced("vbfl", changes, tmp_path / "run")
    *folds, committee = rows
    assert folds
    assert all(row[:3] == ("folds", "folds", 500) for row in folds)
    assert all(used == samples < 500 for *_, used, samples in folds)
    assert committee == ("validation", "committee", 2, 1, 1)


def test_a_committee_of_fewer_than_were_asked_for(tmp_path):
    changes = {
        **TINY_SERVER,
        "protocol": "coordinator",
        "payout.mechanism": "flat",
        "coordinator.verifier": "committee",
        "coordinator.params": {"size": 6},
        "availability.kind": "per-round",
        "availability.online": 0.5,
    }
    _, rows = reduced("fedavg", changes, tmp_path / "run")
    assert rows
    assert all(row[:3] == ("committee", "size", 6) for row in rows)
    assert all(used == seats < 6 for *_, used, seats in rows)


CUT = [
    pytest.param(registry, name, id=name)
    for registry in (rules.aggregators, rules.transforms, rules.validators, rules.verifiers)
    for name in registry.names()
]


@pytest.mark.parametrize(("registry", "name"), CUT)
def test_what_is_used_is_a_parameter_and_never_more_than_asked(registry, name):
    for params in registry.get(name).examples:
        rule = registry.create(name, params)
        asked = dataclasses.asdict(rule.params)
        assert "f" not in asked or "f" in rule.used(1), "must say how much of f it uses"
        for n in range(1, 40):
            for key, used in rule.used(n).items():
                assert 0 <= used <= asked[key]
        assert rule.used(10**6) == {key: asked[key] for key in rule.used(10**6)}


@pytest.mark.parametrize("name", ["krum", "multi-krum", "bulyan", "trimmed-mean"])
@pytest.mark.parametrize("n", range(1, 17))
def test_what_is_used_is_what_the_rule_does(name, n):
    """With f = 3 and n updates a rule gives what it gives with the f that it says it uses."""
    rng = np.random.default_rng(n)
    seen = AggregationObservation(
        round=1,
        workers=tuple(range(n)),
        updates=rng.standard_normal((n, 7)).astype(np.float32),
        samples=np.ones(n, dtype=np.int64),
        global_model=np.zeros(7, np.float32),
    )
    rule = rules.aggregators.create(name, {"f": 3})
    less = rules.aggregators.create(name, {"f": rule.used(n)["f"]})
    assert less.used(n) == rule.used(n)
    np.testing.assert_array_equal(rule.aggregate(seen), less.aggregate(seen))
