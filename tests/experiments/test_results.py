"""Results of a sweep: whole while it grows, compacted or not, exact, clear about damage."""

import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from experiments import Results, RunError, sweep
from experiments.intervals import interval
from experiments.results import per_seed
from experiments.rundir import write_run
from experiments.sweeps.drive import Sweep
from sim.protocol import protocols
from tests.conftest import TINY
from tests.experiments.test_sweeps import RATE, Enough, asked, stamps, stop_after
from tests.forging import resealed

COLUMNS = {name: list(table.columns) for name, table in protocols.get("vbfl").all_tables().items()}
OUTCOMES = tuple(protocols.get("vbfl").all_outcomes())
TABLES = ("rounds", "participants", "votes", "blocks", "journal", "incidents")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "tiny"
    sweep(asked(set={**TINY, "rounds": 2}), folder, workers=1)
    return folder


@pytest.fixture
def folder(shared, tmp_path):
    """A sweep's folder to spoil."""
    return shutil.copytree(shared, tmp_path / "tiny")


def test_a_query_sees_no_name_and_no_file_of_the_one_before(folder):
    results, query = Results.open(folder), "select max(round) as n from t"
    assert results.sql(query, t="rounds")["n"].item() == 2
    with pytest.raises(RunError, match="t does not exist"):
        results.sql(query)
    for file in (folder / "runs").glob("*/rounds.parquet"):
        file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(RunError, match=r"rounds\.parquet"):
        results.sql(query, t="rounds")


def frames(results):
    return {name: results.table(name) for name in TABLES}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, frame in ours.items():
        pd.testing.assert_frame_equal(frame, theirs[name])


# --- frames ---------------------------------------------------------------------------------------


def test_frames_carry_keys_and_factors_and_the_very_rows(shared):
    results = Results.open(shared)
    runs = results.runs()
    assert f"{len(runs)} of {len(runs)} runs" in repr(results)
    assert list(runs.columns) == [
        "run_id",
        "cell",
        "seed",
        RATE,
        "attack",
        "status",
        "wall_s",
        "cpu_s",
        "bytes",
        "note",
    ]
    assert runs["wall_s"].gt(0).all()
    assert runs["bytes"].gt(1_000).all()
    for name in TABLES:
        frame = results.table(name)
        assert list(frame.columns) == ["run_id", "cell", "seed", RATE, "attack", *COLUMNS[name]]
        for run_id, group in frame.groupby("run_id", sort=False):
            own = results.run(run_id).table(name)
            ours = group[list(own.columns)].reset_index(drop=True)
            pd.testing.assert_frame_equal(ours.astype(own.dtypes), own, check_categorical=False)
    assert frame["cell"].is_monotonic_increasing
    assert set(results.scenarios()) == {0, 1, 2, 3}
    assert results.scenarios()[3]["training"]["learning_rate"] == 0.2
    assert results.name == results.spec["name"] == "tiny"
    assert Sweep(results.spec, shared).todo == [], "what is on record can be given again"


def test_columns_and_conditions(shared):
    results = Results.open(shared)
    frame = results.participants(
        columns=["device", "income"], where=f'round = 2 and adversary and "{RATE}" = 0.2'
    )
    assert list(frame.columns) == ["run_id", "cell", "seed", RATE, "attack", "device", "income"]
    assert len(frame) == 3 * 2
    either = results.rounds(where="round = 1 or round = 2")
    assert len(either) == len(results.rounds())
    counted = results.sql(
        "select attack, count(*) as n from votes join p using (run_id) group by attack",
        tables=("votes",),
    )
    assert counted["n"].sum() == len(results.votes())


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda r: r.table("voets"), ["no table 'voets'", "votes"]),
        (lambda r: r.rounds(columns=["acuracy"]), ["no column 'acuracy'", "accuracy"]),
        (lambda r: r.rounds(where="acuracy > 0"), ["acuracy"]),
        (lambda r: r.rounds(where="round >"), ["syntax"]),
        (lambda r: r.sql("selekt 1"), ["syntax"]),
        (lambda r: r.summary(by="nothing"), ["no column 'nothing'", "attack"]),
        (lambda r: r.summary(of="nothing"), ["no column 'nothing'", "accuracy"]),
        (lambda r: r.summary(ci="normal"), ["ci = 'normal'", "auto, bootstrap, t or none"]),
        (lambda r: r.summary(level=95), ["level = 95", "between 0 and 1"]),
        (lambda r: r.run("0" * 32), ["no such folder"]),
    ],
)
def test_a_wrong_question_is_one_line(shared, call, parts):
    with pytest.raises(RunError) as raised:
        call(Results.open(shared))
    assert str(shared) in str(raised.value)
    assert "\n" not in str(raised.value)
    for part in parts:
        assert part in str(raised.value)


def test_a_factor_may_be_called_like_a_column(tmp_path):
    levels = {
        "none": {},
        "noise": {"adversaries": [{"name": "bad", "count": 2, "worker": "gaussian-noise"}]},
    }
    results = sweep(
        asked(seeds=1, design=[{"factors": {"adversary": levels}}]), tmp_path / "out", workers=1
    )
    frame = results.participants(where="adversary and \"factor.adversary\" = 'noise'")
    assert set(frame["factor.adversary"]) == {"noise"}
    assert frame["adversary"].all()
    assert list(results.summary(by="adversary", ci="none")["adversary"]) == ["none", "noise"]


def test_odd_names_and_labels(tmp_path):
    factors = {'say "hi"': {"it's": {RATE: 0.1}, "b": {RATE: 0.2}}, "training.epochs": [1, 2]}
    place = tmp_path / "it's [odd]"
    results = sweep(asked(seeds=1, design=[{"factors": factors}]), place, workers=1)
    assert set(results.rounds()['say "hi"']) == {"it's", "b"}
    results.compact(remove=True)
    assert set(Results.open(place).rounds(where='"training.epochs" = 2')["training.epochs"]) == {2}


def test_whole_numbers_are_exact_and_gaps_are_gaps(folder):
    """An amount that no float can hold, in a table with gaps."""
    amount = 2**53 + 1
    results = Results.open(folder)
    run = results.run(results.runs()["run_id"].iloc[0])
    rounds = pq.read_table(run.path / "rounds.parquet")
    i = rounds.schema.get_field_index("issued")
    issued = pa.array([amount, *rounds["issued"].to_pylist()[1:]], pa.int64())
    tables = {f.stem: pq.read_table(f) for f in run.path.glob("*.parquet")}
    tables["rounds"] = rounds.set_column(i, "issued", issued).set_column(
        rounds.schema.get_field_index("winner"),
        "winner",
        pa.array([None] * len(rounds), pa.int64()),
    )
    write_run(run.path, run.scenario, tables, run.manifest)
    for _ in range(2):
        frame = Results.open(folder).rounds().query("run_id == @run.run_id")
        assert str(frame["issued"].dtype) == str(frame["winner"].dtype) == "Int64"
        assert frame["issued"].iloc[0] == amount
        assert frame["winner"].isna().all()
        outcomes = Results.open(folder).outcomes().set_index("run_id")
        assert outcomes.loc[run.run_id, "issued"] == amount + sum(issued.to_pylist()[1:])
        Results.open(folder).compact()
    assert str(results.participants()["accepted"].dtype) == "boolean"


# --- outcomes and summaries -----------------------------------------------------------------------


def test_outcomes_by_hand(shared):
    results = Results.open(shared)
    outcomes = results.outcomes()
    assert len(outcomes) == 12
    assert {*outcomes.columns} == {"run_id", "cell", "seed", RATE, "attack", *OUTCOMES}
    one = outcomes.iloc[-1]
    run = results.run(one["run_id"])
    assert one["accuracy"] == run.rounds["accuracy"].iloc[-1]
    assert one["best_accuracy"] == run.rounds["accuracy"].max()
    assert one["mean_accuracy"] == pytest.approx(run.rounds["accuracy"].mean())
    assert one["issued"] == run.rounds["issued"].sum()
    assert one["simulated_s"] == run.rounds["end_s"].max()
    people = run.participants
    for who, group in (
        ("honest", people[~people["adversary"]]),
        ("adversary", people[people["adversary"]]),
    ):
        for column in ("income", "utility"):
            assert one[f"{who}_{column}"] == pytest.approx(
                group.groupby("device")[column].sum().mean()
            )
    assert outcomes.query("attack == 'none'")["adversary_income"].isna().all()


def test_intervals_agree_with_scipy(shared):
    results = Results.open(shared)
    outcomes = results.outcomes()
    for level in (0.9, 0.95):
        table = results.summary(by="attack", ci="t", level=level).set_index("attack")
        for attack, group in outcomes.groupby("attack"):
            values = group.groupby("seed")["accuracy"].mean().to_numpy(float)
            low, high = stats.t.interval(level, len(values) - 1, values.mean(), stats.sem(values))
            row = table.loc[attack]
            assert (row["runs"], row["seeds"]) == (6, 3)
            assert row["accuracy"] == pytest.approx(values.mean())
            assert (row["accuracy_low"], row["accuracy_high"]) == (
                pytest.approx(low),
                pytest.approx(high),
            )
    both = results.summary(by=["attack", RATE], of="accuracy", ci="none")
    assert list(both.columns) == ["attack", RATE, "runs", "accuracy"], "no seed has several runs"
    assert list(both["runs"]) == [3] * 4
    assert results.summary(by=[])["runs"].tolist() == [12]
    assert results.summary().columns[:2].tolist() == [RATE, "attack"], "all factors by default"


def test_copies_of_a_seed_make_no_interval_narrower(shared):
    """A factor that changes nothing multiplies the runs, not what is known."""
    results = Results.open(shared)
    one = results.outcomes().query("attack == 'none'").drop_duplicates("seed")
    assert per_seed(pd.concat([one] * 4), "accuracy").tolist() == pytest.approx(
        one.sort_values("seed")["accuracy"].tolist()
    )
    whole = results.summary(by=[], of="accuracy").iloc[0]
    assert (whole["runs"], whole["seeds"]) == (12, 3)
    fewer = results.outcomes().groupby("seed")["accuracy"].mean().to_numpy(float)
    expected = stats.t.interval(0.95, 2, fewer.mean(), stats.sem(fewer))
    assert (whole["accuracy_low"], whole["accuracy_high"]) == pytest.approx(expected)


def test_the_bootstrap_agrees_with_scipy():
    values = np.random.default_rng(3).gamma(2.0, size=60)
    ours = interval(values, "bootstrap", 0.95)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours == (
        pytest.approx(theirs.low, abs=0.06 * width),
        pytest.approx(theirs.high, abs=0.06 * width),
    )
    assert ours == interval(values, "bootstrap", 0.95)
    assert np.isnan(interval(values[:1], "bootstrap")).all()
    assert np.isnan(interval(values[:0], "t")).all()


def test_a_large_bootstrap_is_drawn_in_blocks(monkeypatch):
    values = np.random.default_rng(3).normal(size=50)
    whole = interval(values, "bootstrap")
    monkeypatch.setattr("experiments.intervals.BLOCK", 333)
    assert interval(values, "bootstrap") == pytest.approx(whole), "the same draws"


# --- growing --------------------------------------------------------------------------------------


def test_results_open_while_the_sweep_still_writes(tmp_path):
    seen = []

    def look(_):
        results = Results.open(tmp_path / "out")
        seen.append((len(results.outcomes()), len(results.rounds()), len(results.runs())))
        results.summary()

    sweep(asked(seeds=1), tmp_path / "out", workers=1, on_receipt=look)
    assert seen == [(n, n, 4) for n in (1, 2, 3, 4)]


def test_nothing_yet_is_no_error(tmp_path):
    Sweep(asked(), tmp_path / "out")._write_plan()
    results = Results.open(tmp_path / "out")
    assert set(results.runs()["status"]) == {"missing"}
    assert results.rounds().empty
    assert list(results.rounds().columns)[:3] == ["run_id", "cell", "seed"]
    assert results.outcomes().empty
    assert results.summary().empty
    assert results.failures().empty
    assert results.compact() == 0
    assert Results.open(tmp_path / "out").rounds().empty


def test_refresh_shows_more(tmp_path):
    with pytest.raises(Enough):
        sweep(asked(seeds=1), tmp_path / "out", workers=1, on_receipt=stop_after(1))
    results = Results.open(tmp_path / "out")
    sweep(asked(seeds=1), tmp_path / "out", workers=1)
    assert len(results.rounds()) == 1
    results.refresh()
    assert len(results.rounds()) == 4


# --- compacting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("remove", [False, True])
def test_compacting_changes_nothing_that_is_read(folder, remove):
    before = frames(Results.open(folder))
    outcomes = Results.open(folder).outcomes()
    results = Results.open(folder)
    assert results.compact(remove=remove) == 12
    for opened in (results, Results.open(folder)):
        same(frames(opened), before)
        pd.testing.assert_frame_equal(opened.outcomes(), outcomes)
        assert set(opened.runs()["status"]) == {"done"}
    assert bool(stamps(folder)) != remove
    assert Results.open(folder).compact(remove=remove) == 12
    same(frames(Results.open(folder)), before)
    if remove:
        with pytest.raises(RunError, match="was removed when it was compacted"):
            results.run(before["rounds"]["run_id"].iloc[0])
    outcome = Sweep(asked(set={**TINY, "rounds": 2}), folder).play(workers=1)
    assert (outcome.found, outcome.done) == (12, 0), "compacted runs are not run again"


@pytest.mark.slow
@pytest.mark.parametrize("remove", [False, True])
def test_compacting_again_takes_new_runs_in(shared, tmp_path, remove):
    spec = asked(set={**TINY, "rounds": 2})
    whole = frames(Results.open(shared))
    for n in (3, 4):
        with pytest.raises(Enough):
            sweep(spec, tmp_path / "out", workers=1, on_receipt=stop_after(n))
        results = Results.open(tmp_path / "out")
        assert results.compact(remove=remove) == (3 if n == 3 else 7)
    outcome = Sweep(spec, tmp_path / "out").play(workers=1)
    assert (outcome.found, outcome.done) == (7, 5)
    same(frames(Results.open(tmp_path / "out")), whole)
    assert Results.open(tmp_path / "out").compact(remove=remove) == 12
    same(frames(Results.open(tmp_path / "out")), whole)
    assert len(list((tmp_path / "out" / "compact").iterdir())) == 2, "the index and one part"


class Power(BaseException):
    """The process ends here."""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["tables", "index", "swept", "remove"])
def test_a_crash_in_the_middle_of_compacting_loses_nothing(folder, monkeypatch, where):
    before = frames(Results.open(folder))
    results = Results.open(folder)
    results.compact()

    def cut(*_, **__):
        raise Power

    def crash(*_, **__):
        """Stop like a kill: nothing is tidied up."""
        monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
        raise Power

    if where == "tables":
        monkeypatch.setattr(Results, "_write_compact", crash)
    elif where == "index":
        monkeypatch.setattr("experiments.results.write_file", crash)
    elif where == "swept":
        monkeypatch.setattr(shutil, "rmtree", cut)
    else:
        real, calls = shutil.rmtree, []

        def some(path, **options):
            calls.append(path)
            if len(calls) > 4:
                raise Power
            real(path, **options)

        monkeypatch.setattr(shutil, "rmtree", some)
    with pytest.raises(Power):
        results.compact(remove=True)
    monkeypatch.undo()
    same(frames(Results.open(folder)), before)
    assert Sweep(asked(set={**TINY, "rounds": 2}), folder).todo == []
    Results.open(folder).compact(remove=True)
    same(frames(Results.open(folder)), before)
    assert len(list((folder / "compact").iterdir())) == 2, "what the crash left is gone"


def test_a_run_without_its_folder_is_not_compacted_away(folder):
    gone = Results.open(folder).runs()["run_id"].iloc[0]
    shutil.rmtree(folder / "runs" / gone)
    assert Results.open(folder).compact(remove=True) == 11
    assert [p.run_id for p in Sweep(asked(set={**TINY, "rounds": 2}), folder).todo] == [gone]


# --- what cannot be read --------------------------------------------------------------------------


def older(folder):
    resealed(folder / "sweep.json", lambda sweep: sweep.update(schema_version=1))


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (
            older,
            [
                "recorded with schema 1",
                "columns differ",
                "run the sweep again",
                "version that wrote it",
            ],
        ),
        (lambda f: (f / "sweep.json").unlink(), ["not a sweep"]),
        (lambda f: (f / "sweep.json").write_text("{"), ["sweep.json: unreadable"]),
        (lambda f: (f / "plan.parquet").unlink(), ["incomplete", "plan.parquet"]),
        (lambda f: (f / "plan.parquet").write_bytes(b"PAR1"), ["plan.parquet", "damaged"]),
        (
            lambda f: ((f / "compact").mkdir(), (f / "compact" / "index.json").write_text("{")),
            ["index.json: unreadable"],
        ),
        (lambda f: next((f / "runs").glob("*/rounds.parquet")).unlink(), ["rounds.parquet"]),
        (
            lambda f: next((f / "runs").glob("*/rounds.parquet")).write_bytes(b"PAR1 broken PAR1"),
            ["rounds.parquet"],
        ),
    ],
)
def test_what_cannot_be_read_says_why_in_one_line(folder, damage, parts):
    damage(folder)
    with pytest.raises(RunError) as raised:
        Results.open(folder).rounds()
    assert "\n" not in str(raised.value)
    for part in parts:
        assert part in str(raised.value), raised.value


def test_a_damaged_table_is_not_compacted_and_nothing_is_removed(folder):
    next((folder / "runs").glob("*/rounds.parquet")).write_bytes(b"PAR1 broken PAR1")
    with pytest.raises(RunError, match=r"rounds\.parquet"):
        Results.open(folder).compact(remove=True)
    assert len(stamps(folder)) == 12
    assert not list((folder / "compact").iterdir())
