"""What a sweep's file asks for: designs, plans, and one line for every mistake."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import ScenarioError
from experiments.cli import app
from experiments.sweeps.design import SAMPLED, Block, Range, combine
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import digest, load_spec, plan
from tests.conftest import TINY

RATE = "training.learning_rate"


def spec(**changes):
    return load_spec({"name": "tiny", "scenario": "vbfl", "set": TINY, **changes})


def values(block, name):
    return [point[name].label for point in block.points()]


def sampled(kind, samples=16, seed=0, **factors):
    return Block(kind=kind, samples=samples, seed=seed, factors=factors)


# --- designs --------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_grid_has_every_combination_once(sizes):
    block = Block(factors={f"f{i}": list(range(n)) for i, n in enumerate(sizes)})
    points = [tuple(level.label for level in point.values()) for point in block.points()]
    assert len(points) == len(set(points)) == math.prod(sizes) == block.size()


def test_a_zip_pairs_levels():
    block = Block(
        kind="zip", factors={"a": [1, 2, 3], "b": {"x": {"k": 1}, "y": {"k": 2}, "z": {}}}
    )
    assert [(p["a"].label, p["b"].label) for p in block.points()] == [(1, "x"), (2, "y"), (3, "z")]
    assert block.size() == 3


@pytest.mark.parametrize("kind", SAMPLED)
def test_sampled_designs_keep_counts_bounds_and_repeat(kind):
    ranges = {
        "real": {"low": -1.0, "high": 3},
        "log": {"low": 1e-4, "high": 1e2, "log": True},
        "whole": {"low": 2, "high": 5, "integer": True},
        "whole_log": {"low": 1, "high": 1000, "integer": True, "log": True},
        "name": {"choices": ["a", "b", "c"]},
    }
    for samples in (1, 7, 64):
        block = sampled(kind, samples, **ranges)
        assert len(block.points()) == samples == block.size()
        assert all(-1 <= v < 3 for v in values(block, "real"))
        assert all(1e-4 <= v <= 1e2 for v in values(block, "log"))
        for name, low, high in (("whole", 2, 5), ("whole_log", 1, 1000)):
            assert all(isinstance(v, int) and low <= v <= high for v in values(block, name))
    assert set(values(block, "whole")) == {2, 3, 4, 5}
    assert set(values(block, "name")) == {"a", "b", "c"}
    assert 0.01 < np.median(values(block, "log")) < 1, "spread by its logarithm"
    assert np.median(values(block, "whole_log")) < 100
    assert block.points() == sampled(kind, samples, **ranges).points()
    assert block.points() != sampled(kind, samples, 1, **ranges).points()


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 5))
def test_a_latin_hypercube_has_one_point_in_each_slice_of_each_factor(samples, factors, seed):
    block = sampled(
        "latin-hypercube",
        samples,
        seed,
        **{f"f{i}": {"low": 0.0, "high": 1.0} for i in range(factors)},
    )
    for i in range(factors):
        assert sorted(int(v * samples) for v in values(block, f"f{i}")) == list(range(samples))


def test_sobol_points_are_spread_evenly():
    block = sampled("sobol", 16, a={"low": 0.0, "high": 1.0}, b={"low": 0.0, "high": 1.0})
    quarters = [(int(p["a"].label * 4), int(p["b"].label * 4)) for p in block.points()]
    assert len(set(quarters)) == 16
    assert (
        sampled("sobol", 5, a={"low": 0.0, "high": 1.0}).points()
        == (sampled("sobol", 8, a={"low": 0.0, "high": 1.0}).points()[:5])
    )


@given(st.floats(0, 1, exclude_max=True), st.integers(-50, 50), st.integers(1, 50))
def test_whole_numbers_are_equally_likely_and_in_bounds(u, low, width):
    whole = Range(low=low, high=low + width, integer=True)
    assert low <= whole.at(u) <= low + width
    edges = [whole.at((i + 0.5) / (width + 1)) for i in range(width + 1)]
    assert edges == list(range(low, low + width + 1))


@given(st.floats(1e-6, 1.0), st.floats(1.001, 1e6))
def test_a_range_rises_from_low_to_high(low, factor):
    for log in (False, True):
        r = Range(low=low, high=low * factor, log=log)
        found = [r.at(u) for u in (0.0, 0.25, 0.5, 0.75, 1 - 1e-12)]
        assert found[0] == pytest.approx(low)
        assert all(low <= v <= low * factor for v in found)
        assert all(a <= b for a, b in pairwise(found))


def test_blocks_are_crossed():
    points = combine(
        [
            Block(factors={"a": [1, 2]}),
            Block(kind="zip", factors={"b": [3, 4], "c": [5, 6]}),
            sampled("random", 3, d={"low": 0.0, "high": 1.0}),
        ]
    )
    assert len(points) == 2 * 2 * 3
    assert {(p["a"].label, p["b"].label, p["c"].label) for p in points} == {
        (1, 3, 5),
        (1, 4, 6),
        (2, 3, 5),
        (2, 4, 6),
    }
    assert len({p["d"].label for p in points}) == 3, "the same points in every combination"
    assert combine([]) == [{}]


def test_a_named_level_may_be_called_as_a_range_is():
    block = Block(factors={"noise": {"low": {"k": 1}, "high": {"k": 2}}})
    assert values(block, "noise") == ["low", "high"]


# --- plans ----------------------------------------------------------------------------------------


def test_named_levels_set_several_keys():
    noise = {"adversaries": [{"name": "bad", "count": 2, "worker": "gaussian-noise"}], RATE: 0.3}
    runs = plan(spec(design=[{"factors": {"attack": {"none": {}, "noise": noise}}}]))
    assert [r.labels["attack"] for r in runs] == ["none", "noise"]
    assert [sum(g.size for g in r.scenario.adversaries) for r in runs] == [0, 2]
    assert [r.scenario.training.learning_rate for r in runs] == [0.1, 0.3]


def test_another_plug_in_drops_the_parameters_of_the_one_before():
    runs = plan(spec(design=[{"factors": {"payout.mechanism": ["vbfl", "flat"]}}]))
    assert [r.scenario.payout.mechanism for r in runs] == ["vbfl", "flat"]


def test_all_cells_have_the_same_seeds():
    runs = plan(spec(seeds=[7, 3, 11], design=[{"factors": {RATE: [0.1, 0.2, 0.3]}}]))
    by_cell = {cell: [r.seed for r in runs if r.cell == cell] for cell in range(3)}
    assert list(by_cell.values()) == [[7, 3, 11]] * 3
    assert len({r.run_id for r in runs}) == 9
    assert [r.seed for r in plan(spec(seeds=3))] == [0, 1, 2]


def test_no_design_is_one_cell_and_the_file_s_place_does_not_matter(tmp_path):
    digests = set()
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "base.toml").write_text('extends = "vbfl"\nrounds = 2\n')
        (folder / "rule.py").write_text("from mechanisms.payouts.flat import *\n")
        (folder / "sweep.toml").write_text('scenario = "base.toml"\nseeds = 2\n')
        runs = plan(load_spec(folder / "sweep.toml"))
        assert [r.scenario.rounds for r in runs] == [2, 2]
        digests.add(digest(runs))
    assert len(digests) == 1, "a moved sweep is the same sweep"
    (folder / "base.toml").write_text('extends = "vbfl"\nrounds = 3\n')
    assert digest(plan(load_spec(folder / "sweep.toml"))) not in digests, (
        "a changed scenario is another one"
    )


# --- mistakes -------------------------------------------------------------------------------------

MISTAKES = {
    "unknown key": ("sead = 3", ["sead = 3", "unknown key", "seeds"]),
    "unknown key of a design": (
        "[[design]]\nsample = 3\nfactors = {a = [1]}",
        ["design.0.sample = 3", "unknown key", "samples"],
    ),
    "unknown kind": (
        '[[design]]\nkind = "gird"\nfactors = {a = [1]}',
        ["design.0.kind = 'gird'", "'grid'"],
    ),
    "one table": ("[design]\nfactors = {a = [1]}", ["design = ", "[[design]]"]),
    "no factors": ("[[design]]", ["design.0.factors", "must be given"]),
    "empty factors": ("[[design]]\n[design.factors]", ["design.0.factors = {}", "at least one"]),
    "no levels": (
        "[[design]]\nfactors = {rounds = []}",
        ["design.0.factors.rounds = []", "list of values"],
    ),
    "one value": (
        "[[design]]\nfactors = {rounds = 3}",
        ["design.0.factors.rounds = 3", "list of values"],
    ),
    "half named": (
        "[[design]]\nfactors = {x = {a = {rounds = 2}, b = 3}}",
        ["design.0.factors.x", "tables of scenario keys"],
    ),
    "unequal zip": (
        '[[design]]\nkind = "zip"\nfactors = {rounds = [1, 2], devices = [8]}',
        ["design.0.factors = {'rounds': 2, 'devices': 1}", "as many levels"],
    ),
    "range in a grid": (
        "[[design]]\nfactors = {rounds = {low = 1, high = 2}}",
        ["design.0.factors.rounds", "sobol"],
    ),
    "list in a sample": (
        '[[design]]\nkind = "random"\nsamples = 2\nfactors = {rounds = [1]}',
        ["factors.rounds = [1]", "low"],
    ),
    "named in a sample": (
        '[[design]]\nkind = "sobol"\nsamples = 2\nfactors = {x = {a = {rounds = 2}}}',
        ["design.0.factors.x", "{ low, high }"],
    ),
    "no samples": (
        '[[design]]\nkind = "sobol"\nfactors = {rounds = {low = 1, high = 2}}',
        ["design.0.samples = 0", "1 or more"],
    ),
    "negative samples": (
        '[[design]]\nkind = "random"\nsamples = -1\nfactors = {rounds = {low = 1, high = 2}}',
        ["design.0.samples = -1", "must be >= 0"],
    ),
    "samples of a grid": (
        "[[design]]\nsamples = 4\nfactors = {rounds = [1]}",
        ["design.0.samples = 4", "only a sampled design"],
    ),
    "text samples": (
        '[[design]]\nkind = "random"\nsamples = "4"\nfactors = {}',
        ["design.0.samples = '4'", "whole number"],
    ),
    "low above high": (
        '[[design]]\nkind = "random"\nsamples = 2\nfactors = {rounds = {low = 3, high = 2}}',
        ["design.0.factors.rounds.low = 3.0", "below high = 2"],
    ),
    "no high": (
        '[[design]]\nkind = "random"\nsamples = 2\nfactors = {rounds = {low = 3}}',
        ["design.0.factors.rounds.high", "low and high"],
    ),
    "log of 0": (
        '[[design]]\nkind = "random"\nsamples = 2\n'
        "factors = {rounds = {low = 0, high = 2, log = true}}",
        ["design.0.factors.rounds.low = 0.0", "above 0"],
    ),
    "halves": (
        '[[design]]\nkind = "random"\nsamples = 2\n'
        "factors = {rounds = {low = 0.5, high = 2, integer = true}}",
        ["design.0.factors.rounds.low = 0.5", "whole number"],
    ),
    "infinite": (
        '[[design]]\nkind = "random"\nsamples = 2\nfactors = {rounds = {low = 1, high = inf}}',
        ["design.0.factors.rounds.high = inf", "finite"],
    ),
    "key of a range": (
        '[[design]]\nkind = "random"\nsamples = 2\nfactors = {rounds = {low = 1, hihg = 2}}',
        ["design.0.factors.rounds.hihg = 2", "did you mean 'high'"],
    ),
    "choices and bounds": (
        '[[design]]\nkind = "random"\nsamples = 2\nfactors = {rounds = {low = 1, choices = [2]}}',
        ["design.0.factors.rounds.choices", "stand alone"],
    ),
    "seeds 0": ("seeds = 0", ["seeds = 0", "how many"]),
    "negative seeds": ("seeds = -2", ["seeds = -2", "how many"]),
    "no seeds": ("seeds = []", ["seeds = []", "list of seeds"]),
    "a seed twice": ("seeds = [1, 2, 1]", ["seeds = [1, 2, 1]", "twice"]),
    "a negative seed": ("seeds = [0, -1]", ["seeds.1 = -1", "0..2**63 - 1"]),
    "true seeds": ("seeds = true", ["seeds = True", "how many"]),
    "text seeds": ('seeds = "3"', ["seeds = '3'", "how many"]),
    "seed set": ("set = {seed = 3}", ["set.seed = 3", "seeds"]),
    "seed varied": (
        "[[design]]\nfactors = {seed = [1, 2]}",
        ["factors.seed", "column of the results"],
    ),
    "seed in a level": (
        "[[design]]\nfactors = {x = {a = {seed = 1}}}",
        ["factors.x = 'seed'", "seeds"],
    ),
    "a column": (
        "[[design]]\nfactors = {accuracy = {a = {rounds = 2}}}",
        ["design.factors = 'accuracy'", "column of the results"],
    ),
    "a factor twice": (
        "[[design]]\nfactors = {rounds = [1]}\n[[design]]\nfactors = {rounds = [2]}",
        ["design.1.factors.rounds", "design.0.factors.rounds"],
    ),
    "a key twice": (
        "[[design]]\nfactors = {rounds = [1], x = {a = {rounds = 2}}}",
        ["design.0.factors.x = 'rounds'", "set by design.0.factors.rounds too"],
    ),
    "the same scenario": (
        "[[design]]\nfactors = {rounds = [2, 2]}",
        ["rounds = 2", "same scenario as cell 0"],
    ),
    "levels alike": (
        "[[design]]\nfactors = {x = {a = {}, b = {}}}",
        ["x = 'b'", "same scenario as cell 0"],
    ),
    "no such scenario key": (
        '[[design]]\nfactors = {"training.epohcs" = [1]}',
        ["training.epohcs = 1", "did you mean 'epochs'"],
    ),
    "no such set key": ("set = {round = 2}", ["round = 2", "did you mean 'rounds'"]),
    "no such entry": (
        '[[design]]\nfactors = {"adversaries.7.count" = [1]}',
        ["adversaries.7.count = 1", "no entry '7'"],
    ),
    "value out of range": (
        "[[design]]\nfactors = {rounds = [1, 0]}",
        ["rounds = 0", "must be >= 1"],
    ),
    "wrong type": ('[[design]]\nfactors = {rounds = ["two"]}', ["rounds = 'two'", "whole number"]),
    "a date": (
        "set = {rounds = 2020-01-01}",
        ["rounds = datetime.date(2020, 1, 1)", "whole number"],
    ),
    "no such rule": (
        '[[design]]\nfactors = {"payout.mechanism" = ["vbfi"]}',
        ["payout.mechanism = 'vbfi'", "vbfl"],
    ),
    "no such scenario": ('scenario = "nowhere.toml"', ["nowhere.toml", "no such file or preset"]),
    "scenario a number": ("scenario = 3", ["scenario = 3", "must be a text"]),
    "bad name": ('name = "a/b"', ["name = 'a/b'", "letters, digits"]),
    "too many cells": (
        "[[design]]\nfactors = {"
        + ", ".join(f"a{i} = [1,2,3,4,5,6,7,8,9,10]" for i in range(7))
        + "}",
        ["10,000,000 cells", "at most 1,000,000"],
    ),
    "not TOML": ("seeds = = 3", ["is not TOML"]),
}


@pytest.mark.parametrize("text_parts", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_with_file_key_and_value_and_nothing_is_written(
    tmp_path, monkeypatch, text_parts
):
    text, parts = text_parts
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.toml").write_text(text)
    done = CliRunner().invoke(app, ["sweep", "my.toml", "--out", "out"])
    assert done.exit_code == 2, done.output
    lines = done.output.strip().splitlines()
    assert len(lines) == 1, lines
    named = "nowhere.toml" if "nowhere.toml" in text else "my.toml"
    assert lines[0].startswith(f"fedstake: {named}"), lines
    for part in parts:
        assert part in lines[0], lines
    assert [p.name for p in tmp_path.iterdir()] == ["my.toml"]


@pytest.mark.parametrize(
    ("source", "part"), [("nowhere.toml", "no such file"), (".", "is a folder")]
)
def test_a_missing_file_is_told(tmp_path, monkeypatch, source, part):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScenarioError, match=part):
        Sweep(source)


def test_a_table_of_values_is_checked_as_a_file_is():
    with pytest.raises(ScenarioError, match=r"sweep: seeds = 0: how many"):
        spec(seeds=0)
