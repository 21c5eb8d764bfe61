"""The scorecard: measures in closed form, gaps against known sweeps, a winner that can be run."""

import itertools
import math
import tomllib
from functools import partial
from types import SimpleNamespace

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import RunError, ScenarioError, compare, load_scenario, run, sweep
from experiments.labels import labels_of
from experiments.results import Results
from experiments.scorecard.columns import direction
from experiments.scorecard.deviations import (
    COLUMNS,
    coalition_warnings,
    deviation_gains,
    deviation_gap,
)
from experiments.scorecard.lead import Lead
from experiments.scorecard.levels import deviates
from experiments.scorecard.measures import fairness, gini, nakamoto, paired_gaps
from experiments.scorecard.settings import ScorecardSettings, read_settings
from experiments.scorecard.showing import compatibility, gains_in_words
from experiments.scorecard.winner import _deviation
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
    reversed_shares = fairness([3, 1], [1, 3])
    assert reversed_shares == pytest.approx({"l1": 1.0, "rank": -1.0, "under": 0.5})
    assert math.isnan(fairness([0, 0], [1, 2])["l1"])


def test_intervals_are_simultaneous_and_paired():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        gaps = paired_gaps({str(i): rng.normal(0, 1, 6) for i in range(5)})
        missed += any(low > 0 or high < 0 for _, low, high in gaps.values())
    assert missed / 400 < 0.08
    assert paired_gaps({"a": [3.0]})["a"] == (3.0, -np.inf, np.inf)


def test_intervals_hold_for_who_looks_and_adds_seeds():
    """Whoever adds seeds until an interval excludes 0 is misled by Student's, not by the others."""
    rng = np.random.default_rng(1)
    misled = {False: 0, True: 0}
    for _ in range(200):
        gains = rng.normal(0, 1, 40)
        for sequential in misled:
            looks = (
                paired_gaps({"a": gains[:n]}, sequential=sequential)["a"] for n in range(3, 41)
            )
            misled[sequential] += any(low > 0 or high < 0 for _, low, high in looks)
    assert misled[True] <= 0.05 * 200
    assert misled[False] > 0.2 * 200


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


def test_the_gain_of_each_deviation_has_its_own_interval(verdict):
    found, folder = verdict
    gains = found.gains.set_index("mechanism")
    assert list(found.gains.columns) == ["mechanism", *COLUMNS]
    assert (gains["deviation"] == "idle").all(), "sybils are no deviation"
    assert (gains["devices"] == 1).all()
    assert (gains["seeds"] == 4).all()
    assert ((gains["gain_low"] < gains["gain"]) & (gains["gain"] < gains["gain_high"])).all()
    assert gains.loc["work", "gain"] == row(verdict, "work")["ic_gap"]
    written = pd.read_csv(folder / "gains.csv")
    assert written["gain"].tolist() == pytest.approx(found.gains["gain"].tolist(), rel=1e-5)
    basis = row(verdict, "work")["ic_basis"]
    assert basis.startswith("1 deviation, 4 seeds, simultaneous 95 % intervals")


def test_sybils_gain_where_presence_is_paid(verdict):
    assert row(verdict, "flat")["sybil_gain_2"] > row(verdict, "work")["sybil_gain_2"]


def test_nobody_is_slashed_where_everything_is_accepted(verdict):
    t = verdict[0].table
    assert (t["slashed_honest"] == 0).all(), "stakes that come back at the end are no penalties"
    assert t["ir_violations"].between(0, 1).all()
    assert (t["budget_low"] <= t["budget_high"]).all()
    assert t["cost_per_round"].gt(0).all()


def test_the_winner_can_be_run_and_is_what_the_objective_says(verdict, tmp_path):
    found, folder = verdict
    assert found.winner == found.ranking["mechanism"].iloc[0] == "work"
    scenario = load_scenario(folder / "winner.toml")
    assert scenario.payout.mechanism == "vbfl-verified"
    text = (folder / "winner.toml").read_text()
    assert "ranking by ic_gap, worst attack, lowest first, with accuracy >= 0.0:" in text
    again = run(scenario, tmp_path / "again")
    assert (folder / "runs" / again.run_id).is_dir(), "it is one of the sweep's own runs"


def test_no_is_said_of_any_deviation_that_is_sure_to_gain():
    gaps = paired_gaps({"wild": [0, 300, 10], "sure": [50, 51, 52]})
    assert gaps["wild"][0] > gaps["sure"][0]
    assert gaps["wild"][1] < 0 < gaps["sure"][1]


@pytest.mark.slow
def test_a_mechanism_whose_runs_fail_cannot_win(tmp_path):
    (tmp_path / "crash.py").write_text(
        "from agents.workers.base import WorkerBehaviour\n"
        "class Crash(WorkerBehaviour):\n"
        "    name = 'crash'\n"
        "    def submit(self, seen):\n"
        "        raise RuntimeError('no')\n"
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
    found = compare(results)
    assert found.winner is None
    assert "flat and vbfl tie: accuracy is the same in every pair of their runs" in found.reason
    spec["design"][0]["factors"]["attack"]["bad"] = {"adversaries": crash}
    found = compare(sweep(spec, tmp_path / "broken", workers=1))
    assert found.winner is None
    assert set(found.ranking["violates"]) == {"unfinished"}
    assert "2 of 4 runs failed or are missing" in found.note
    assert (found.table["planned"] == 1).all()


def test_never_reaching_a_target_takes_for_ever(verdict):
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
    found = compare(Results.open(verdict[1]), settings)
    assert np.isinf(found.table["time_to_target_s"]).all()
    assert found.winner is None
    compare(verdict[1])


@pytest.mark.slow
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


def test_who_adds_seeds_gets_intervals_that_allow_it(tmp_path):
    factors = SWEEP["design"][0]["factors"]
    chosen = {
        "mechanism": {"flat": factors["mechanism"]["flat"]},
        "attack": {level: factors["attack"][level] for level in ("nobody", "idle")},
    }
    spec = SWEEP | {"design": [{"factors": chosen}], "scorecard": {"mechanism": "mechanism"}}
    widths = {}
    for seeds in (3, 4):
        found = compare(sweep(spec | {"seeds": seeds}, tmp_path / "grown", workers=1))
        row = found.table.set_index("attack").loc["nobody"]
        widths[seeds] = row["ic_gap_high"] - row["ic_gap_low"]
    assert "sequential" in row["ic_basis"]
    assert "sequential" in found.method
    whole = compare(sweep(spec | {"seeds": 4}, tmp_path / "whole", workers=1))
    fixed = whole.table.set_index("attack").loc["nobody"]
    assert "Student" in fixed["ic_basis"]
    assert fixed["ic_gap_high"] - fixed["ic_gap_low"] < widths[4]
    assert fixed["ic_gap"] == row["ic_gap"]


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_damaged_run_is_played_again(tmp_path):
    results = sweep({**SWEEP, "seeds": 1}, tmp_path / "sweep", workers=1)
    broken = results.runs()["run_id"].iloc[0]
    file = results.folder / "runs" / broken / "rounds.parquet"
    body = file.read_bytes()
    file.write_bytes(body[:100])
    with pytest.raises(RunError, match=rf"{broken}/rounds.parquet: damaged, its size .*; the same"):
        results.rounds()
    again = sweep({**SWEEP, "seeds": 1}, tmp_path / "sweep", workers=1)
    assert file.read_bytes() == body
    assert len(again.rounds()) > 0


def test_bounds_that_nobody_keeps_leave_no_winner(verdict):
    settings = read_settings(
        SWEEP["scorecard"]
        | {"objective": {"measure": "accuracy", "bounds": {"accuracy": {"min": 1.1}}}},
        "here",
    )
    found = compare(Results.open(verdict[1]), settings)
    assert found.winner is None
    assert (found.ranking["violates"] == "accuracy").all()
    assert not (verdict[1] / "winner.toml").exists()
    compare(verdict[1])


def tried(**gains):
    """People of one mechanism: utilities 0 when honest, as given per seed at each deviation."""
    rows = []
    for level, (devices, values) in gains.items():
        for seed, value in enumerate(values):
            for device in range(3):
                deviates = device < devices
                rows.append((seed, device, level, deviates, float(value) if deviates else 0.0))
                rows.append((seed, device, "nobody", False, 0.0))
    columns = ["seed", "device", "attack", "attacks", "utility"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates()


@pytest.mark.parametrize(
    ("people", "verdict", "basis"),
    [
        (tried(lie=(1, [-5, -6, -7])), "yes", "1 deviation, 3 seeds"),
        (tried(lie=(1, [-5, -6, -7]), idle=(1, [8, 9, 10])), "no", "2 deviations, 3 seeds"),
        (tried(lie=(1, [-5, 6, -7])), "undetermined", "intervals"),
        (tried(lie=(1, [-5, -6])), "undetermined", "1 deviation, 2 seeds"),
        (tried(lie=(1, [-5, -6])), "undetermined", "fewer than 3 seeds"),
        (tried(lie=(1, [0, 0, 0])), "undetermined", "a gain is the same in all seeds"),
        (tried(lie=(1, [7, 7, 7])), "undetermined", "a gain is the same in all seeds"),
        (tried(mob=(3, [-5, -6, -7])), "undetermined", "only coalitions were tried"),
        (tried(mob=(3, [8, 9, 10])), "undetermined", "only coalitions were tried"),
        (tried(lie=(1, [-5, -6, -7]), mob=(3, [8, 9, 10])), "yes", "1 deviation, 3 seeds"),
    ],
)
def test_incentive_compatible_is_said_of_enough_alone(people, verdict, basis):
    settings = read_settings({}, "here")
    gains = deviation_gains(people, settings)
    found = deviation_gap(gains, settings)
    assert found["incentive_compatible"] == verdict
    assert basis in found["ic_basis"]
    warned = [text.partition(":")[0] for text in coalition_warnings(gains)]
    assert warned == [level for level in ("mob",) if level in set(people["attack"])]


def test_a_gain_that_is_not_known_is_no_extreme():
    people = tried(lie=(1, [-5, -6, -7]), gone=(1, [1, 2, 3]))
    people.loc[(people["attack"] == "gone") & people["attacks"], "utility"] = np.nan
    settings = read_settings({"deviations": ["gone", "lie"]}, "here")
    found = deviation_gap(deviation_gains(people, settings), settings)
    assert (found["best_deviation"], found["ic_gap"]) == ("lie", -6)


@pytest.mark.parametrize(
    ("settings", "part"),
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
        ({"objective": {"best": "max"}}, "scorecard.objective.measure: must be given"),
        ({"objective": {"measure": "issued"}}, "scorecard.objective.best: must be given"),
        ({"honest": "idle"}, "1 device of group 'bad' deviate"),
    ],
)
def test_bad_settings_are_refused_in_one_line(verdict, settings, part):
    with pytest.raises(RunError, match=part.replace(".", r"\.")) as caught:
        compare(
            Results.open(verdict[1]), read_settings(SWEEP["scorecard"] | settings, "sweep.toml")
        )
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_fairness_is_measured_where_there_are_tapes(tmp_path):
    spec = SWEEP | {
        "seeds": 1,
        "set": SWEEP["set"] | {"record.tape": True, "data.validation_fraction": 0.25},
    }
    table = compare(sweep(spec, tmp_path / "taped", workers=1)).table
    assert table["fairness_l1"].between(0, 2).all()
    assert table["fairness_under"].between(0, 1).all()


@pytest.mark.parametrize("over", ["worst", "mean"])
@pytest.mark.parametrize(("measure", "best"), [("adversary_utility", "min"), ("advantage", "min")])
def test_the_lead_is_the_difference_of_the_two_values_in_the_ranking(
    verdict, tmp_path, measure, best, over
):
    objective = {"measure": measure, "best": best, "over": over}
    settings = read_settings(SWEEP["scorecard"] | {"objective": objective}, "here")
    found = compare(Results.open(verdict[1]), settings, out=tmp_path)
    first, second = found.ranking[measure].iloc[:2]
    assert found.lead.mean == pytest.approx(second - first)
    assert found.lead.low < found.lead.mean < found.lead.high
    assert f"ahead of {found.lead.rival} by" in found.answer
    assert f"ahead of {found.lead.rival} by" in (tmp_path / "winner.toml").read_text()


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        (Lead("vbfl", 5.0, 2.0, 8.0), "ahead of vbfl by 5 (95 %: 2 to 8, paired by seed)"),
        (
            Lead("vbfl", 5.0, -2.0, 12.0),
            "ahead of vbfl by 5 (95 %: −2 to 12, paired by seed), "
            "so the order of the two is not certain",
        ),
        (
            Lead("vbfl", 5.0, math.nan, math.nan),
            "one seed does not say how sure its lead over vbfl is",
        ),
    ],
)
def test_a_lead_says_how_sure_it_is(lead, said):
    assert str(lead) == said


# --- protocols that record other things -----------------------------------------------------------


class Recorded(Results):
    """A sweep of tables in memory: two rules, two levels of attack, three seeds."""

    name, factors, versions = "lottery", ["rule", "attack"], {}
    got_more_seeds = False

    def __init__(self, folder, tables, outcomes=None, scorecard=None, best=None):
        self.folder, self.tables, self.extra = folder, tables, outcomes
        self.best = best or {}
        self.card = {"mechanism": "rule"} | (scorecard or {})

    @property
    def spec(self):
        return {"name": self.name, "scorecard": self.card}

    @property
    def labels(self):
        return labels_of({factor: self.runs()[factor].unique().tolist() for factor in self.factors})

    def directions(self):
        return self.best

    def has(self, needs):
        return all(
            table in self.tables and {*columns} <= {*self.tables[table].columns}
            for table, columns in needs.items()
        )

    def runs(self):
        cells = [(rule, attack) for rule in ("even", "uneven") for attack in ("nobody", "late")]
        rows = [
            (f"{cell}-{seed}", cell, seed, *cells[cell], "done")
            for cell in range(4)
            for seed in range(3)
        ]
        return pd.DataFrame(rows, columns=["run_id", "cell", "seed", "rule", "attack", "status"])

    def scenarios(self):
        return {cell: {"protocol": "lottery", "rounds": 2, "cell": cell} for cell in range(4)}

    def sql(self, query, tables=(), **names):
        with duckdb.connect() as db:
            db.register("p", self.runs())
            for name in tables:
                db.register(name, self.tables[name])
            return db.sql(query).df()

    def outcomes(self):
        people = self.tables["participants"]
        frame = self.runs().drop(columns="status").assign(simulated_s=20.0, issued=0, burned=0)
        for who, flag in (("honest", False), ("adversary", True)):
            group = people[people["adversary"] == flag].groupby("run_id")
            for column in ("income", "utility"):
                each = group[column].sum() / group["device"].nunique()
                frame[f"{who}_{column}"] = frame["run_id"].map(each)
        return frame if self.extra is None else frame.merge(self.extra, on="run_id", how="left")


def utility_of(rule, attack, device):
    """Per round. Coming late gains 3 under the uneven rule and loses 2 under the even one."""
    late = attack == "late" and device == 0
    return 10 + ((3 if rule == "uneven" else -2) if late else 0)


@pytest.fixture
def lottery(tmp_path):
    """The core tables of 12 runs, 2 rounds and 3 devices each; more columns by keyword."""
    plan = Recorded(tmp_path, {}).runs()

    def play(rounds=None, participants=None, **options):
        people, times, journal = [], [], []
        runs = plan[["run_id", "rule", "attack"]].itertuples(index=False)
        for (run_id, rule, attack), at in itertools.product(runs, (1, 2)):
            times.append((run_id, at, 10.0 * (at - 1), 10.0 * at, 10.0, 0, 0))
            for device in range(3):
                bad = attack == "late" and device == 0
                gain = utility_of(rule, attack, device)
                people.append((run_id, at, device, bad, gain, gain, 100 + gain * at, 0))
                journal.append((run_id, "pot", f"device:{device}", gain, "prize"))
        core = {
            "rounds": (times, "run_id round start_s end_s duration_s issued burned"),
            "participants": (people, "run_id round device adversary income utility balance locked"),
            "journal": (journal, "run_id debit credit amount reason"),
        }
        tables = {
            name: pd.DataFrame(rows, columns=columns.split())
            for name, (rows, columns) in core.items()
        }
        tables["rounds"] = tables["rounds"].assign(**(rounds or {}))
        tables["participants"] = tables["participants"].assign(**(participants or {}))
        return Recorded(tmp_path, tables, **options)

    return play


CORE = {
    "rule", "attack", "planned", "runs", "honest_income", "adversary_income", "honest_utility",
    "adversary_utility", "advantage", "spent", "budget_low", "budget_high", "ir_violations",
    "gini", "nakamoto", "ic_gap", "ic_gap_low", "ic_gap_high", "best_deviation",
    "incentive_compatible", "ic_basis",
}  # fmt: skip


def test_any_protocol_is_scored_by_what_it_records(lottery, tmp_path):
    found = compare(lottery(scorecard={"objective": {"measure": "ic_gap", "best": "min"}}))
    assert {*found.table.columns} == CORE
    gaps = found.table.set_index(["rule", "attack"])["ic_gap"]
    assert gaps["even", "nobody"] == 2 * -2
    assert gaps["uneven", "nobody"] == 2 * 3
    assert (found.table["spent"] == found.table["budget_high"] * -1).all()
    assert found.winner == "even"
    assert tomllib.loads((tmp_path / "winner.toml").read_text())["protocol"] == "lottery"


def test_the_direction_is_that_of_the_measure_and_is_said(lottery):
    found = compare(lottery(scorecard={"objective": {"measure": "ic_gap"}}))
    assert found.title == "ranking by ic_gap, worst attack, lowest first"
    assert found.winner == "even"
    stated = {"measure": "ic_gap", "best": "max", "over": "mean"}
    found = compare(lottery(scorecard={"objective": stated}))
    assert found.title == "ranking by ic_gap, mean over attacks, highest first"
    assert found.winner == "uneven"


def test_every_measure_has_a_direction(verdict, lottery):
    frames = [verdict[0].table, compare(lottery()).table]
    keys = {"mechanism", "rule", "attack", "planned", "runs"}
    for frame in frames:
        numbers = [c for c in frame if pd.api.types.is_numeric_dtype(frame[c])]
        assert [c for c in numbers if c not in keys and not direction(c, {})] == []
    good = {name: direction(name, {}) for name in ("advantage", "adversary_utility", "ic_gap")}
    good |= {name: direction(name, {}) for name in ("ir_violations", "spent", "gini")}
    good |= {name: direction(name, {}) for name in ("honest_rejected", "sybil_gain_3_high")}
    assert set(good.values()) == {"min"}
    assert direction("pots", {"pots": "max", "issued": ""}) == "max"
    assert direction("issued", {"issued": ""}) == ""


def test_without_an_objective_there_is_a_ranking_and_no_winner(lottery, tmp_path):
    (tmp_path / "winner.toml").write_text("old")
    found = compare(lottery())
    assert found.winner is None
    assert found.title == "ranking by advantage, worst attack, lowest first (default objective)"
    assert found.ranking["rule"].tolist() == ["even", "uneven"]
    assert "no winner: the sweep states no objective" in found.answer
    assert not (tmp_path / "winner.toml").exists()


def test_a_gain_that_is_the_same_in_all_seeds_is_shown_without_an_interval(lottery):
    found = compare(lottery())
    shown = gains_in_words(found)
    assert shown["gain"].tolist() == ["−4 in all seeds", "6 in all seeds"]
    assert compatibility(found, ["rule", "attack"])["incentive compatible"].tolist() == [
        "undetermined",
        "undetermined",
    ]


def test_a_tie_names_no_winner_and_says_whether_the_measure_can_differ(lottery):
    runs = Recorded(None, {}).runs()
    same = pd.DataFrame({"run_id": runs["run_id"], "pots": runs["seed"] * 1.0})
    settings = {"objective": {"measure": "pots"}}
    found = compare(lottery(outcomes=same, scorecard=settings, best={"pots": "max"}))
    assert found.winner is None
    assert "even and uneven tie: pots is the same in every pair of their runs" in found.answer
    other = same.assign(pots=np.where(runs["rule"] == "even", 2 - runs["seed"], runs["seed"]))
    found = compare(lottery(outcomes=other, scorecard=settings, best={"pots": "max"}))
    assert found.reason == "even and uneven tie at pots = 1"


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ({"count": 0, "worker": "lazy", "worker_params": {}}, False),
        ({"count": 3, "worker": "lazy", "worker_params": {}}, True),
        ({"devices": [1], "count": 0, "worker": "lazy", "worker_params": {}}, True),
        ({"count": 3, "worker": "honest", "worker_params": {}, "spares": 0}, False),
        ({"count": 3, "worker": "honest", "worker_params": {}, "spares": 1}, True),
        ({"count": 3, "worker": "honest", "worker_params": {}, "presence": 0.5}, True),
        ({"count": 3, "identities": "split", "presence": 1.0}, True),
        ({"count": 3, "strategies": [], "learner": "bandit", "learner_params": {"a": 1}}, False),
        ({"count": 3, "strategies": [{"worker": "lazy"}]}, True),
        ({"count": 3, "damage_benefit": 2.0, "from_round": 4, "identities": "own"}, False),
        ({"count": 3, "adversary": True, "habits": {"wait_s": 1.0}, "initial_balance": 5}, False),
    ],
)
def test_who_deviates(group, expected):
    assert deviates({"name": "g"} | group) is expected


def test_measures_come_with_the_columns_that_they_need(lottery):
    measure = {"objective": {"measure": "advantage"}}
    reached = pd.DataFrame({"run_id": Recorded(None, {}).runs()["run_id"], "accuracy": 0.9})
    rounds = {"accuracy": 0.9, "updates": 3}
    table = compare(lottery(rounds, outcomes=reached, scorecard=measure)).table
    assert {*table.columns} == CORE | {
        "accuracy", "accuracy_low", "accuracy_high", "reached_target", "rounds_to_target",
        "time_to_target_s", "cost_per_round",
    }  # fmt: skip
    assert (table["cost_per_round"] == 3 + 3).all(), "three updates and three payments, 1 a call"
    chain = {"updates": 3, "votes_positive": 4, "votes_negative": 2, "block_time_s": 1.0}
    voted = compare(lottery(chain, {"penalty": 0}, scorecard=measure)).table
    assert {*voted.columns} == CORE | {"cost_per_round", "slashed_honest", "slashed_adversary"}
    assert (voted["cost_per_round"] == 3 + 6 + 1 + 3).all()


def test_what_only_some_protocols_of_a_sweep_record_is_not_known_of_the_others(lottery):
    settings = {"objective": {"measure": "accuracy"}, "target_accuracy": 0.8}
    results = lottery(scorecard=settings)
    rounds, people = results.tables["rounds"], results.tables["participants"]
    trained = rounds["run_id"].str[0].isin(["0", "1"])
    results.tables["rounds"] = rounds.assign(
        accuracy=np.where(trained, 0.7, np.nan), updates=np.where(trained, 3, np.nan)
    ).convert_dtypes()
    trained = people["run_id"].str[0].isin(["0", "1"])
    results.tables["participants"] = people.assign(
        penalty=np.where(trained, 0, np.nan)
    ).convert_dtypes()
    results.extra = pd.DataFrame({"run_id": ["0-0", "0-1", "0-2", "1-0", "1-1", "1-2"]})
    results.extra["accuracy"] = 0.7
    found = compare(results)
    table = found.table.set_index(["rule", "attack"])
    known = ["accuracy", "reached_target", "rounds_to_target", "cost_per_round", "slashed_honest"]
    assert table.loc["even", known].notna().all(axis=None)
    assert np.isinf(table.loc["even", "rounds_to_target"]).all()
    assert table.loc["uneven", known].isna().all(axis=None)
    assert found.winner == "even"
    breaks = found.ranking.set_index("rule")["violates"]
    assert breaks["uneven"] == "unknown"


def test_an_objective_may_ask_for_an_outcome_that_the_protocol_declares(lottery):
    runs = Recorded(None, {}).runs()
    share = pd.DataFrame({"run_id": runs["run_id"], "winners": 2.0, "spent": -1.0})
    share.loc[runs["rule"] == "uneven", "winners"] = 3.0
    found = compare(
        lottery(
            outcomes=share,
            scorecard={"objective": {"measure": "winners", "bounds": {"simulated_s": {"max": 20}}}},
            best={"winners": "max"},
        )
    )
    assert {*found.table.columns} == CORE | {"winners", "simulated_s"}
    assert found.winner == "uneven"
    assert (found.table["spent"] > 0).all(), "the scorecard's own columns keep their meaning"


def test_a_measure_that_the_sweep_cannot_have_is_named_in_one_line(lottery):
    asked = {"measure": "accuracy", "bounds": {"gimi": {"max": 0.5}, "slashed_honest": {"max": 0}}}
    with pytest.raises(RunError) as caught:
        compare(lottery(scorecard={"objective": asked}))
    message = str(caught.value)
    assert "scorecard.objective.measure = 'accuracy': no measure of this sweep; known: " in message
    assert "bounds.gimi: no measure of this sweep; did you mean 'gini'?" in message
    assert "bounds.slashed_honest: no measure of this sweep" in message
    assert "\n" not in message


def test_a_warning_about_a_number_of_devices_names_its_factor():
    """A number alone says nothing: "2: 2 devices deviate at once"."""
    gains = pd.DataFrame({"deviation": ["1", "2", "mob"], "devices": [1, 2, 3]})
    labels = labels_of({"adversaries.0.count": [1, 2, "mob"]}, None)
    settings = ScorecardSettings(adversary="adversaries.0.count")
    called = partial(_deviation, SimpleNamespace(labels=labels), settings)
    warned = [text.partition(":")[0] for text in coalition_warnings(gains, called)]
    assert warned == ["count = 2", "mob"]
