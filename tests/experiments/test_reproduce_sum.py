"""Sharing Updatable Models: measures on made-up tables, files at hand, and the three known data."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from experiments.reproduce.driver import Reproduction
from experiments.reproduce.evidence import Evidence
from experiments.reproduce.plan import HERE
from experiments.reproduce.sum import accounts, figures, measures
from experiments.reproduce.sum.deposits import FORMULAS, SECONDS, deposit
from experiments.reproduce.sum.files import FILES, ITSELF, at_hand
from experiments.reproduce.sum.findings import baselines
from experiments.results import Results
from experiments.sweeps.drive import Sweep
from experiments.sweeps.plan import plan
from mechanisms.vocabulary import TOKEN
from sim.world import World
from tests.experiments.test_market_attacks import FLAWS
from tests.experiments.test_reproduce import load_paper, parts, verdicts

DAY_S = measures.DAY_S


class Tables:
    """Evidence of made-up tables, the same in every group."""

    def __init__(self, **tables):
        self.results = {}
        self.tables = {name: pd.DataFrame(rows) for name, rows in tables.items()}

    def of(self, arms, name, group):
        table = self.tables.get(name, pd.DataFrame())
        return table[table["arm"].isin(arms)] if len(table) else table


def balances(arm="preset", seed=0, **percents):
    """Rows of table `balances`: good and bad at the start, when the data ran out, at the end."""
    moments = {"start": 0.0, "ran out": 3 * DAY_S, "end": 12 * DAY_S}
    return [
        {
            "arm": arm,
            "seed": seed,
            "moment": moment,
            "time_s": time_s,
            "device": device,
            "adversary": device == 1,
            "percent": percents.get(moment.replace(" ", "_"), (100.0, 100.0))[device],
            "balance": int(percents.get(moment.replace(" ", "_"), (100.0, 100.0))[device] * TOKEN),
        }
        for moment, time_s in moments.items()
        for device in (0, 1)
    ]


# --- formulas and accounts ------------------------------------------------------------------------


def test_every_published_deposit_has_a_row_with_its_formula():
    entries = verdicts.load(HERE / "sum" / "expected.json")
    rows = [entry for entry in entries if entry.part == "Deposits"]
    assert len(rows) == len(FORMULAS) * len(SECONDS)
    for entry in rows:
        _, formula, seconds = entry.id.split("-")
        found = deposit(formula, int(seconds))(Evidence({}))
        assert verdicts.verdict(entry, found, "smoke") == "within", entry.id
    assert deposit("simulation", 5)(Evidence({})) == [30.0]


def test_three_known_data_have_the_published_accounts():
    found = []
    for run in plan(parts("sum", "smoke")[accounts.KNOWN].spec):
        world = World(run.scenario)
        for _ in world.run():
            pass
        table = world.kernel.tables()["balances"].to_pandas()
        found.append(table.assign(arm=run.labels["arm"], seed=run.seed))
        world.close()
    evidence = Tables(balances=pd.concat(found))
    paper = load_paper("sum")
    entries = [e for e in verdicts.load(HERE / "sum" / "expected.json") if e.id[:6] == "three-"]
    assert len(entries) == 18
    for entry in entries:
        measured = paper.measures[entry.id](evidence)
        assert verdicts.verdict(entry, measured, "smoke") == "within", entry.id


# --- measures -------------------------------------------------------------------------------------


def test_balances_at_both_moments_and_days():
    rows = balances(ran_out=(180.0, 0.5), end=(199.0, 1.5))
    rows += balances(seed=1, ran_out=(190.0, 0.5), end=(197.0, 2.5))
    evidence = Tables(balances=rows)
    measure = measures.MEASURES
    assert measure["readme-good"](evidence) == [199.0, 197.0]
    assert measure["readme-bad"](evidence) == [1.5, 2.5]
    assert measure["readme-good-ran-out"](evidence) == [180.0, 190.0]
    assert measure["readme-days"](evidence) == [12.0, 12.0]
    assert measures.days("preset", moment="ran out")(evidence) == [3.0, 3.0]
    assert measure["matched-good"](evidence) == [], "not played"


def test_ruin_is_the_first_day_below_one_per_cent():
    def people(seed, percents):
        return [
            {"arm": "preset", "seed": seed, "round": day, "adversary": bad, "percent": percent}
            for day, pair in enumerate(percents, 1)
            for bad, percent in zip((False, True), pair, strict=True)
        ]

    rows = people(0, [(0.5, 40.0), (100.0, 0.9), (100.0, 0.0)]) + people(1, [(100.0, 50.0)])
    found = measures.ruin("preset")(Tables(participants=rows))
    assert found[0] == 2.0
    assert np.isnan(found[1]), "never"


def test_accuracies_are_held_against_the_model_that_knows_all_data():
    way = [(0.0, 0.7), (2.0, 0.9), (1.0, 0.8)]
    rows = [{"arm": "preset", "seed": 0, "time_s": t, "accuracy": a, "moment": "x"} for t, a in way]
    known = [
        {"arm": "imdb-like", "seed": 0, "model": model, "moment": moment, "accuracy": accuracy}
        for model, accuracy in (("sgd-perceptron", 0.75), ("naive-bayes", 0.5))
        for moment in ("start",)
    ]
    evidence = Tables(accuracies=rows + known)
    of = {name: measures.MEASURES[f"readme-{name}"](evidence) for name in ("lowest", "highest")}
    assert of == {"lowest": [0.7], "highest": [0.9]}
    assert measures.accuracies("preset", measures.IMDB, "last")(evidence) == [0.9]
    assert measures.MEASURES["readme-below-baseline"](evidence) == [pytest.approx(-0.05)]
    alone = Tables(accuracies=rows)
    alone.tables["accuracies"]["model"] = "sgd-perceptron"
    assert measures.MEASURES["readme-below-baseline"](alone) == []


def test_what_is_swept_after_the_data_ran_out_and_what_the_model_has_learned():
    added = [
        {"arm": "short", "seed": 0, "device": d, "datum": n, "cost": cost, "right": right}
        for d, n, cost, right in [(0, 0, 60, True), (1, 1, 20, False), (1, 2, 20, False)]
    ]
    added.append({**added[1], "datum": None, "cost": None})
    claims = [
        {"arm": "short", "seed": 0, "time_s": t * DAY_S, "kind": k, "right": r, "amount": a}
        for t, k, r, a in [
            (1, "refund", True, 60),
            (2, "refund", False, 20),
            (9, "sweep", False, 20),
        ]
    ]
    evidence = Tables(submissions=added, claims=claims, balances=balances("short"))
    assert measures.swept("short")(evidence) == [0.2]
    assert measures.learned("short", measures.IMDB)(evidence) == [0.5]
    assert measures.swept("preset")(evidence) == []


def test_whole_seconds_are_held_against_real_ones_by_seed():
    rows = [
        {"arm": arm, "seed": seed, "device": 1, "datum": 1, "cost": tokens * TOKEN}
        for arm, costs in (("preset", (2, 3)), ("unlocked", (4, 4)))
        for seed, tokens in enumerate(costs)
    ]
    evidence = Tables(submissions=rows)
    assert measures.MEASURES["phase-bad-deposit"](evidence) == [-2.0, -1.0]
    assert measures.MEASURES["phase-bad-deposit-ratio"](evidence) == [0.625]
    equal, others = (balances(a, end=e) for a, e in ENDS.items())
    spread = measures.MEASURES["waits-spread"]
    assert spread(Tables(balances=equal + others)) == [5.0]
    assert spread(Tables(balances=equal)) == []


ENDS = {"whole_seconds": (90.0, 110.0), "different_waits": (98.0, 102.0)}
"""Balances at the end by arm."""


def test_good_ones_that_lose_are_counted():
    held = {0: 120.0, 1: 99.0, 2: 98.0, 3: 90.0, 4: 110.0}
    rows = [
        {"arm": "shipped", "seed": 0, "moment": m, "device": d, "adversary": d > 2, "percent": p}
        for m in ("start", "end")
        for d, p in held.items()
    ]
    evidence = Tables(balances=rows)
    assert accounts.losers("shipped")(evidence) == [2.0]
    assert accounts.returns("shipped", 3, 4)(evidence) == [100.0]


# --- sweeps and files -----------------------------------------------------------------------------


def test_arms_that_are_measured_are_those_that_are_played():
    planned = parts("sum", "reduced")
    arms = {name: {run.labels["arm"] for run in plan(part.spec)} for name, part in planned.items()}
    own = [arm for arm, group in measures.PLACES.items() if group == measures.IMDB]
    assert arms[measures.IMDB] == set(own)
    assert arms[accounts.MARKET] == set(accounts.ARMS)
    assert arms["flaws"] == {run.labels["arm"] for run in plan(parts("sum", "smoke")["flaws"].spec)}
    assert FLAWS == HERE / "sum" / "flaws.toml"
    assert arms[measures.WAITS] == {"whole_seconds", "real_seconds", "different_waits"}


@pytest.fixture
def words(tmp_path):
    """A folder with an `imdb.npz` of a few samples."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (90, 20))
    y = (x[:, :10].sum(1) > x[:, 10:].sum(1)).astype(int)
    np.savez(tmp_path / "imdb.npz", X_train=x[:50], y_train=y[:50], X_test=x[50:], y_test=y[50:])
    return tmp_path


def test_files_in_the_data_folder_are_played_as_well(words, monkeypatch):
    monkeypatch.setenv("FEDSTAKE_DATA", str(words))
    found = at_hand(words, "reduced")
    assert set(found) == {"file-imdb", ITSELF}
    runs = plan(found["file-imdb"].spec)
    assert [run.scenario.market.model for run in runs] == list(FILES["imdb.npz"])
    assert {run.scenario.data.initial for run in runs} == {49}
    assert len(plan(found[ITSELF].spec)) == 5
    assert plan(found[ITSELF].spec)[0].scenario.data.initial == 4
    assert at_hand(words / "nowhere", "smoke") == {}
    wanted = Reproduction("sum", "smoke", words / "out")
    assert {"file-imdb", ITSELF} <= set(wanted.sweeps)


def test_baselines_of_a_file_are_measured(words, monkeypatch, tmp_path):
    monkeypatch.setenv("FEDSTAKE_DATA", str(words))
    part = at_hand(words, "smoke")["file-imdb"]
    Sweep(part.spec, tmp_path / "played").play(workers=1)
    evidence = Evidence({"file-imdb": Results.open(tmp_path / "played")})
    for model in FILES["imdb.npz"]:
        (accuracy,) = measures.MEASURES[f"baseline-imdb-{model}"](evidence)
        assert 0.6 < accuracy <= 1
    table = baselines(evidence)
    assert len(table) == sum(map(len, FILES.values()))
    at = Counter(table["on the file"])
    assert at["not at hand"] == len(table) - 3


def test_files_that_are_not_there_say_so_row_by_row():
    entries = verdicts.load(HERE / "sum" / "expected.json")
    rows = [entry for entry in entries if entry.id.startswith("baseline-")]
    paper = load_paper("sum")
    named = {verdicts.verdict(e, paper.measures[e.id](Evidence({})), "reduced") for e in rows}
    assert named == {f"not at hand: {file}" for file in FILES}


def test_the_figure_needs_rounds_balances_and_accuracies():
    assert figures.returns_data(Tables()).empty
    rounds = [{"arm": "preset", "seed": s, "round": 1, "end_s": DAY_S} for s in (0, 1)]
    people = [
        {
            "arm": "preset", "seed": s, "round": 1, "device": d, "group": "g",
            "adversary": d == 1, "percent": 90.0 + s,
        }
        for s in (0, 1)
        for d in (0, 1)
    ]  # fmt: skip
    way = [{"arm": "preset", "seed": s, "time_s": 0.0, "accuracy": 0.7} for s in (0, 1)]
    table = figures.returns_data(Tables(rounds=rounds, participants=people, accuracies=way))
    ends = table[table["days"] == 1.0]
    assert ends.groupby("seed")["percent"].first().to_dict() == {0: 90.0, 1: 91.0}
    assert set(table["kind"]) == {"honest", "adversary", "accuracy"}, "no ray without a baseline"
