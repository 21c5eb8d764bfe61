"""The scorecard: measures in closed form, gaps against sweeps that are known, a winner that can be run."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import RunError, compare, load_scenario, run, sweep
from experiments.results import Results
from experiments.scorecard.measures import fairness, gini, nakamoto, paired_gaps
from tests.conftest import TINY

holdings = st.lists(st.integers(0, 10**9), min_size=2, max_size=30).filter(lambda x: sum(x) > 0)


@given(holdings, st.integers(1, 1_000))
def test_gini_and_nakamoto_are_scale_free_and_bounded(x, scale):
    n = len(x)
    mean_difference = sum(abs(a - b) for a in x for b in x) / (n * (n - 1))
    assert gini(x) == pytest.approx(mean_difference / (2 * sum(x) / n), abs=1e-9)
    assert gini([scale * v for v in x]) == pytest.approx(gini(x), abs=1e-9)
    k = int(nakamoto(x))
    top = sorted(x, reverse=True)
    assert sum(top[:k]) > sum(x) / 2 >= sum(top[: k - 1])


def test_extremes():
    assert gini([7, 7, 7]) == 0
    assert gini([0, 0, 5]) == pytest.approx(1.0)
    assert nakamoto([1, 1, 1, 1]) == 3
    assert nakamoto([9, 1, 1]) == 1
    assert math.isnan(gini([0, 0]))
    assert math.isnan(nakamoto([]))


def test_fairness_compares_shares():
    assert fairness([1, 2, 3], [10, 20, 30]) == pytest.approx({"l1": 0.0, "rank": 1.0, "under": 0.0})
    told = fairness([3, 1], [1, 3])
    assert told == pytest.approx({"l1": 1.0, "rank": -1.0, "under": 0.5})
    assert math.isnan(fairness([0, 0], [1, 2])["l1"])


def test_intervals_are_simultaneous_and_paired():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        told = paired_gaps({str(i): rng.normal(0, 1, 6) for i in range(5)})
        missed += any(low > 0 or high < 0 for _, low, high in told.values())
    assert missed / 400 < 0.08
    assert paired_gaps({"a": [3.0]})["a"] == (3.0, -np.inf, np.inf)


SWEEP = {
    "name": "card",
    "scenario": "vbfl",
    "set": {
        **TINY,
        "devices": 10,
        "validation.params": {"threshold": 1.0},
        "costs.compute_per_s": 100.0,
    }
    | {"payout.initial_balance": 1_000},
    "seeds": 4,
    "design": [
        {
            "factors": {
                "mechanism": {
                    "flat": {"payout.mechanism": "flat"},
                    "work": {"payout.mechanism": "vbfl-verified", "payout.params": {"unit_reward": 100}},
                    "slashed": {"payout.mechanism": "slashed-vbfl", "payout.params": {"stake": 500}},
                },
                "attack": {
                    "nobody": {"adversaries": []},
                    "idle": {"adversaries": [{"name": "bad", "devices": [0], "worker": "free-ride-zero"}]},
                    "twins": {"adversaries": [{"name": "bad", "devices": [0, 1], "identities": "split"}]},
                },
            }
        }
    ],
    "scorecard": {
        "mechanism": "mechanism",
        "sybils": {2: "twins"},
        "objective": {"measure": "ic_gap", "best": "min", "bounds": {"accuracy": {"min": 0.0}}},
    },
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "sweep"
    return compare(sweep(SWEEP, folder, workers=1)), folder


def row(verdict, mechanism, attack="nobody"):
    t = verdict[0].table
    return t[(t["mechanism"] == mechanism) & (t["attack"] == attack)].iloc[0]


def test_idling_gains_the_cost_of_work_where_presence_is_paid(verdict):
    people = Results.open(verdict[1]).participants(columns=["device", "compute_s", "utility", "round"])
    mine = people[(people["device"] == 0) & (people["mechanism"] == "flat")]
    saved = mine.groupby(["attack", "seed"])["utility"].sum().unstack("attack")
    card = row(verdict, "flat")
    assert card["ic_gap"] == pytest.approx((saved["idle"] - saved["nobody"]).mean())
    assert card["ic_gap"] > 0
    assert card["best_deviation"] == "idle"


def test_idling_loses_where_verified_work_is_paid(verdict):
    assert row(verdict, "work")["ic_gap"] < 0
    assert row(verdict, "work")["incentive_compatible"] in ("yes", "undetermined")


def test_sybils_gain_where_presence_is_paid(verdict):
    assert row(verdict, "flat")["sybil_gain_2"] > row(verdict, "work")["sybil_gain_2"]


def test_nobody_is_slashed_where_everything_is_accepted(verdict):
    t = verdict[0].table
    assert (t["slashed_honest"] == 0).all(), "stakes that come back at the end are no penalties"
    assert t["ir_violations"].between(0, 1).all()
    assert (t["budget_low"] <= t["budget_high"]).all()
    assert t["cost_per_round"].gt(0).all()


def test_the_winner_can_be_run_and_is_what_the_objective_says(verdict, tmp_path):
    told, folder = verdict
    assert told.winner == told.ranking["mechanism"].iloc[0] == "work"
    scenario = load_scenario(folder / "winner.toml")
    assert scenario.payout.mechanism == "vbfl-verified"
    text = (folder / "winner.toml").read_text()
    assert "objective: worst ic_gap, minimal" in text
    again = run(scenario, tmp_path / "again")
    assert (folder / "runs" / again.run_id).is_dir(), "it is one of the sweep's own runs"


def test_bounds_that_nobody_keeps_leave_no_winner(verdict):
    from experiments.scorecard.settings import read_settings

    settings = read_settings(
        SWEEP["scorecard"] | {"objective": {"measure": "accuracy", "bounds": {"accuracy": {"min": 1.1}}}}, "here"
    )
    told = compare(Results.open(verdict[1]), settings)
    assert told.winner is None
    assert (told.ranking["breaks"] == "accuracy").all()
    assert not (verdict[1] / "winner.toml").exists()
    compare(verdict[1])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"mechanism": "mechanisms"}, "did you mean 'mechanism'"),
        ({"adversary": "attacks"}, "did you mean 'attack'"),
        ({"honest": "nobdy"}, "did you mean 'nobody'"),
        ({"sybils": {2: "twin"}}, "did you mean 'twins'"),
        ({"deviations": ["idel"]}, "did you mean 'idle'"),
        ({"objective": {"measure": "acuracy"}}, "did you mean 'accuracy'"),
        ({"objective": {"measure": "accuracy", "best": "most"}}, "scorecard.objective.best"),
        ({"objective": {"measure": "accuracy", "bounds": {"ginny": {"max": 1}}}}, "'gini'"),
        ({"target_accuracy": 1.5}, "scorecard.target_accuracy = 1.5"),
        ({"target_acuracy": 0.9}, "did you mean 'target_accuracy'"),
        ({"fees": {"votes": 1}}, "scorecard.fees.votes"),
    ],
)
def test_bad_settings_are_refused_in_one_line(verdict, settings, told):
    from experiments.scorecard.settings import read_settings

    with pytest.raises(RunError, match=told.replace(".", r"\.")) as caught:
        compare(Results.open(verdict[1]), read_settings(SWEEP["scorecard"] | settings, "sweep.toml"))
    assert "\n" not in str(caught.value)


def test_fairness_is_measured_where_there_are_tapes(tmp_path):
    spec = SWEEP | {"seeds": 1, "set": SWEEP["set"] | {"record.tape": True, "data.validation_fraction": 0.25}}
    table = compare(sweep(spec, tmp_path / "taped", workers=1)).table
    assert table["fairness_l1"].between(0, 2).all()
    assert table["fairness_under"].between(0, 1).all()
