"""The scorecard: measures in closed form, gaps against sweeps that are known, a winner that can be run."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import RunError, ScenarioError, compare, load_scenario, run, sweep
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
    assert fairness([1, 2, 3], [10, 20, 30]) == pytest.approx(
        {"l1": 0.0, "rank": 1.0, "under": 0.0}
    )
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
                    "work": {
                        "payout.mechanism": "vbfl-verified",
                        "payout.params": {"unit_reward": 100},
                    },
                    "slashed": {
                        "payout.mechanism": "slashed-vbfl",
                        "payout.params": {"stake": 500},
                    },
                },
                "attack": {
                    "nobody": {"adversaries": []},
                    "idle": {
                        "adversaries": [{"name": "bad", "devices": [0], "worker": "free-ride-zero"}]
                    },
                    "twins": {
                        "adversaries": [{"name": "bad", "devices": [0, 1], "identities": "split"}]
                    },
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
    people = Results.open(verdict[1]).participants(
        columns=["device", "compute_s", "utility", "round"]
    )
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


def test_no_is_said_of_any_deviation_that_is_sure_to_gain():
    gaps = paired_gaps({"wild": [0, 300, 10], "sure": [50, 51, 52]})
    assert gaps["wild"][0] > gaps["sure"][0]
    assert gaps["wild"][1] < 0 < gaps["sure"][1]


def test_a_mechanism_whose_runs_fail_cannot_win(tmp_path):
    (tmp_path / "crash.py").write_text(
        "from agents.workers.base import WorkerBehaviour\n"
        "class Crash(WorkerBehaviour):\n    name = 'crash'\n    def submit(self, seen):\n        raise RuntimeError('no')\n"
    )
    spec = {
        **SWEEP,
        "seeds": 1,
        "scorecard": {"mechanism": "mechanism", "objective": {"measure": "accuracy"}},
    }
    flat, crash = (
        {"payout.mechanism": "flat"},
        [{"name": "bad", "devices": [0], "worker": f"{tmp_path}/crash.py:Crash"}],
    )
    sound = [{"name": "bad", "devices": [0], "worker": "lazy"}]
    spec["design"] = [
        {
            "factors": {
                "mechanism": {"flat": flat, "vbfl": {}},
                "attack": {"nobody": {"adversaries": []}, "bad": {"adversaries": sound}},
            }
        }
    ]
    results = sweep(spec, tmp_path / "sound", workers=1)
    told = compare(results)
    assert told.winner is not None
    assert "tie" in told.note, "payout rules do not change what is learned"
    spec["design"][0]["factors"]["attack"]["bad"] = {"adversaries": crash}
    told = compare(sweep(spec, tmp_path / "broken", workers=1))
    assert told.winner is None
    assert set(told.ranking["breaks"]) == {"unfinished"}
    assert "2 of 4 runs failed or are missing" in told.note
    assert (told.table["planned"] == 1).all()


def test_never_reaching_a_target_takes_for_ever(verdict):
    from experiments.scorecard.settings import read_settings

    settings = read_settings(
        SWEEP["scorecard"]
        | {
            "target_accuracy": 1.0,
            "objective": {
                "measure": "time_to_target_s",
                "best": "min",
                "bounds": {"rounds_to_target": {"max": 99}},
            },
        },
        "here",
    )
    told = compare(Results.open(verdict[1]), settings)
    assert np.isinf(told.table["time_to_target_s"]).all()
    assert told.winner is None
    compare(verdict[1])


def test_how_a_sweep_is_read_can_be_changed_without_running_it_again(tmp_path):
    spec = {**SWEEP, "seeds": 1}
    folder = tmp_path / "sweep"
    first = compare(sweep(spec, folder, workers=1))
    other = {
        **spec,
        "scorecard": {**SWEEP["scorecard"], "objective": {"measure": "gini", "best": "min"}},
    }
    second = compare(sweep(other, folder, workers=1))
    assert list(first.ranking.columns) != list(second.ranking.columns)
    with pytest.raises(
        ScenarioError, match=r"scorecard\.objective\.mesure.*did you mean 'measure'"
    ):
        sweep({**spec, "scorecard": {"objective": {"mesure": "gini"}}}, folder)


def test_levels_may_be_numbers(tmp_path):
    spec = {
        **SWEEP,
        "seeds": 2,
        "scorecard": {"mechanism": "mechanism", "adversary": "count", "honest": 0},
    }
    spec["design"] = [
        {
            "factors": {
                "mechanism": {"flat": {"payout.mechanism": "flat"}},
                "count": {"0": {"adversaries": []}, "1": IDLE},
            }
        }
    ]
    table = compare(sweep(spec, tmp_path / "numbers", workers=1)).table
    assert table["ic_gap"].notna().sum() == 1


IDLE = {"adversaries": [{"name": "bad", "devices": [0], "worker": "free-ride-zero"}]}


def test_a_sybil_is_compared_with_itself_as_one(tmp_path):
    one = {"adversaries": [{"name": "bad", "devices": [0, 1], "spares": 1}]}
    two = {"adversaries": [{"name": "bad", "devices": [0, 1], "identities": "split"}]}
    spec = {
        **SWEEP,
        "seeds": 3,
        "scorecard": {"mechanism": "mechanism", "sybils": {2: "two"}, "single": {2: "one"}},
    }
    levels = {"nobody": {"adversaries": []}, "one": one, "two": two}
    spec["design"] = [
        {"factors": {"mechanism": {"flat": {"payout.mechanism": "flat"}}, "attack": levels}}
    ]
    results = sweep(spec, tmp_path / "sybils", workers=1)
    gain = compare(results).table["sybil_gain_2"].iloc[0]
    people = results.participants(columns=["device", "utility"], where="adversary")
    each = people.groupby(["attack", "seed"])["utility"].sum()
    assert gain == pytest.approx((each["two"] - each["one"]).mean())


def test_a_damaged_run_is_played_again(tmp_path):
    results = sweep({**SWEEP, "seeds": 1}, tmp_path / "sweep", workers=1)
    broken = results.runs()["run_id"].iloc[0]
    file = results.folder / "runs" / broken / "rounds.parquet"
    body = file.read_bytes()
    file.write_bytes(body[:100])
    with pytest.raises(RunError, match=f"run {broken} is damaged, the same"):
        results.rounds()
    again = sweep({**SWEEP, "seeds": 1}, tmp_path / "sweep", workers=1)
    assert file.read_bytes() == body
    assert len(again.rounds()) > 0


def test_bounds_that_nobody_keeps_leave_no_winner(verdict):
    from experiments.scorecard.settings import read_settings

    settings = read_settings(
        SWEEP["scorecard"]
        | {"objective": {"measure": "accuracy", "bounds": {"accuracy": {"min": 1.1}}}},
        "here",
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
        compare(
            Results.open(verdict[1]), read_settings(SWEEP["scorecard"] | settings, "sweep.toml")
        )
    assert "\n" not in str(caught.value)


def test_fairness_is_measured_where_there_are_tapes(tmp_path):
    spec = SWEEP | {
        "seeds": 1,
        "set": SWEEP["set"] | {"record.tape": True, "data.validation_fraction": 0.25},
    }
    table = compare(sweep(spec, tmp_path / "taped", workers=1)).table
    assert table["fairness_l1"].between(0, 2).all()
    assert table["fairness_under"].between(0, 1).all()
