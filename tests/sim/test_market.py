"""The data market: money, claims, recorded acts, checkpoints."""

import json
import tomllib
from collections import Counter
from functools import partial

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import fedstake as fs
from experiments.cli import app
from experiments.conformance.protocols import digest, play
from experiments.loader import ScenarioError, load_scenario, validate
from experiments.offpolicy import COLUMNS
from experiments.offpolicy_market import compare_markets
from experiments.rundir import RunError
from fedstake.errors import FedstakeError
from mechanisms.markets.base import POT
from mechanisms.vocabulary import TOKEN
from sim.agenda import Agenda, Event
from sim.data import datasets
from sim.data.sources.base import DataError
from sim.protocols.market.open_data import Seat
from sim.protocols.market.play import Play
from sim.world import World
from tests.forging import relisted

DAY = 86_400.0
SMALL = {
    "protocol": "market",
    "rounds": 3,
    "devices": 3,
    "data": {
        "dataset": "synthetic",
        "params": {"train": 200, "test": 60, "features": 5, "classes": 2, "separation": 2.5},
        "initial": 20,
    },
    "market": {"model": "nearest-centroid", "slice_s": DAY},
    "adversaries": [{"name": "bad", "devices": [2], "contributor": "bad"}],
}


def market(**changes):
    """The scenario of a small market with keys changed."""
    values = {**SMALL, "record": {"trace": True}}
    values["market"] = {**SMALL["market"], **changes.pop("market", {})}
    return validate({**values, **changes}, "test")


def played(scenario, data=None):
    """The recorded tables of a run as frames."""
    world = World(scenario, data)
    for _ in world.run():
        pass
    tables = {name: table.to_pandas() for name, table in world.kernel.tables().items()}
    world.close()
    return tables


# --- agenda -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 5))))
def test_an_agenda_is_in_order_of_time_then_device(events):
    agenda = Agenda(Event(*event) for event in events[::2])
    for event in events[1::2]:
        agenda.add(*event)
    again = Agenda(Event(*event) for event in agenda.to_state())
    found = [agenda.pop()[:2] for _ in range(len(agenda))]
    assert found == sorted(events)
    assert [again.pop()[:2] for _ in range(len(again))] == found


# --- money --------------------------------------------------------------------------------------


@pytest.fixture
def audited(monkeypatch):
    """Every act is followed by an audit of the money."""
    do = Play._do
    audits = []

    def audit(self, *args, **kwargs):
        do(self, *args, **kwargs)
        market = self.market
        treasury = market.kernel.treasury
        treasury.check()
        if market.rule.claimable:
            assert treasury.held(POT) >= sum(datum.claimable for datum in market.data)
        audits.append(market.now_s)

    monkeypatch.setattr(Play, "_do", audit)
    return audits


@pytest.mark.parametrize("rule", ["deposit-refund-take", "free", "points", "prediction-market"])
def test_a7_money_is_conserved_after_every_act(audited, rule):
    params = {"bounty": 9} if rule == "prediction-market" else {}
    tables = played(market(market={"rule": rule, "params": params, "provider": 0}))
    assert len(audited) == len(tables["trace"])
    balances = tables["balances"]
    start = balances[balances["moment"] == "start"]["balance"].sum()
    assert balances[balances["moment"] == "end"]["balance"].sum() == start


RULES = {
    "deposits": {"rule": "deposit-refund-take"},
    "deposits on chain": {
        "rule": "deposit-refund-take",
        "params": {"formula": "chain", "refund_wait_s": 60.0, "sweep_wait_s": 900.0},
    },
    "shares of stakes": {
        "rule": "deposit-refund-take",
        "params": {"share": "stake", "clock": "contributor"},
    },
    "points": {"rule": "points"},
    "free": {"rule": "free"},
    "bets": {"rule": "prediction-market", "params": {"bounty": 40}, "provider": 0},
    "bets by time": {
        "rule": "prediction-market",
        "params": {"bounty": 40, "min_length_s": 90_000.0, "group_contributions": True},
    },
    "bets as shipped": {
        "rule": "prediction-market",
        "params": {"bounty": 40, "as_shipped": True, "collect_wait_s": 3_600.0},
        "provider": 2,
    },
}
"""Every market rule, with the variants in which its money moves otherwise."""
COLUMNS_OF_ACTS = ["time_s", "device", "action", "sample", "label", "offer"]
acts = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.5, 1.0, 4.0, 60.0, 3_600.0, DAY, DAY + 1, 9 * DAY]),
        st.integers(0, 2),
        st.sampled_from(["add", "add", "predict", "wait", "wait"]),
        st.sampled_from([20, 20, 21, 50, 199]),
        st.integers(0, 1),
        st.sampled_from([0, 1, 3, 60, 200, 20_000]),
    ),
    min_size=1,
    max_size=60,
)


@given(drawn=acts, name=st.sampled_from(list(RULES)), fees=st.sampled_from(["verified", "free"]))
@settings(max_examples=60)
def test_no_sequence_of_acts_pays_more_than_was_put_in(tmp_path_factory, drawn, name, fees):
    """The same row again and again, at once or after days, for more than anybody has."""
    place = tmp_path_factory.mktemp("acts")
    frame = pd.DataFrame(drawn, columns=COLUMNS_OF_ACTS)
    frame["time_s"] = frame["time_s"].cumsum()
    frame.to_csv(place / "acts.csv", index=False)
    asked = {**RULES[name], "fees": fees, "replay_of": "acts.csv"}
    tables = played(market(market=asked), place)
    journal = tables["journal"]
    held = Counter()
    for debit, credit, amount in journal[["debit", "credit", "amount"]].itertuples(index=False):
        held[debit] -= amount
        held[credit] += amount
        assert debit == "issuance" or held[debit] >= 0, f"{debit} pays more than it has"
    claims = tables["claims"]
    accepted = tables["submissions"].dropna(subset="datum").set_index("datum")["cost"]
    of_data = claims.dropna(subset="datum").groupby("datum")["amount"].sum()
    assert (of_data <= accepted.loc[of_data.index]).all()
    collected = claims[claims["kind"] == "collect"]
    bounty = RULES[name].get("params", {}).get("bounty", 0) * TOKEN
    assert collected["amount"].sum() <= accepted.sum() + bounty
    assert "shipped" in name or collected["author"].is_unique


@pytest.mark.parametrize("model", ["naive-bayes", "nearest-centroid"])
def test_a9_the_good_gain_the_bad_lose_and_the_model_stays_near_its_baseline(model):
    """The authors' preset on generated workouts; 5 seeds of every model: docs/market_models.py."""
    keys = {
        "rounds": 20,
        "data.dataset": "fitness-like",
        "data.params": {"train": 1_200, "test": 400},
        "data.initial": 100,
        "market.model": model,
    }
    world = World(load_scenario("sum-imdb", keys))
    for _ in world.run():
        pass
    ends = world.kernel.table("balances").to_pandas().query("moment == 'end'")
    percent = ends.set_index("group")["percent"]
    assert percent["good"] > 103
    assert percent["bad"] < 97
    assert abs(world.protocol.market.accuracy - world.protocol.market.baseline()) < 0.05


# --- claims -------------------------------------------------------------------------------------


class Scan:
    """What can be claimed, found by looking at every datum at every act."""

    def __init__(self, rule, model):
        self.rule, self.model, self.data = rule, model, []

    def __len__(self):
        return sum(not self.rule.settled(datum) for datum in self.data)

    def __iter__(self):
        return (datum for datum in self.data if not self.rule.settled(datum))

    def add(self, datum):
        self.data.append(datum)

    def update(self, time_s):
        self.now_s = time_s

    def has_doubts(self, device):
        return True

    def _seats(self, wait_s, inclusive):
        for datum in self:
            age_s = self.now_s - datum.time_s
            if age_s > wait_s or (inclusive and age_s == wait_s):
                seat = Seat(datum)
                seat.agrees = self.model.predict_one(datum.row) == datum.label
                yield seat

    def sweepable(self, device, time_s, *, own_later):
        assert not own_later
        return list(self._seats(self.rule.sweeps_after_s(device), inclusive=True))

    def due(self, device, *, reports):
        found = []
        for seat in self._seats(self.rule.refund_wait_s, self.rule.inclusive):
            own = seat.datum.author == device
            if own == seat.agrees and (own or reports) and device not in seat.datum.claimed_by:
                found.append(seat)
        return found

    def keep(self, device, seats):
        pass

    def claimed(self, seat):
        seat.open = not self.rule.settled(seat.datum)


@pytest.mark.parametrize("seed", range(3))
def test_claims_are_those_of_a_scan_of_all_data(monkeypatch, seed):
    scenario = market(seed=seed, habits={"wait_s": 2_000.0, "wait_sd_s": 500.0})
    found = played(scenario)["claims"]
    assert set(found["kind"]) == {"refund", "report", "sweep"}
    monkeypatch.setattr("sim.protocols.market.market.OpenData", Scan)
    pd.testing.assert_frame_equal(found, played(scenario)["claims"])


def test_as_published_own_data_are_swept_after_the_wait_and_others_at_its_end(tmp_path):
    """The authors' contributors ask for a refund of their own datum until it is older than T_a."""
    apart = {**SMALL["data"]["params"], "separation": 8.0}
    label = 1 - int(datasets.create("synthetic", apart).load(None).y_train[20])
    acts = (
        "time_s,device,action,sample,label,offer\n"
        f"1,2,add,20,{label},100\n{1 + 9 * DAY},2,wait,,,\n{2 + 9 * DAY},2,wait,,,\n"
    )
    (tmp_path / "acts.csv").write_text(acts)
    for as_published, when in ((True, 2 + 9 * DAY), (False, 1 + 9 * DAY)):
        asked = {"replay_of": "acts.csv", "as_published": as_published}
        scenario = market(market=asked, data={**SMALL["data"], "params": apart})
        claims = played(scenario, tmp_path)["claims"]
        assert claims[["kind", "time_s"]].to_numpy().tolist() == [["sweep", when]]


# --- acts that were recorded --------------------------------------------------------------------


def to_json(trace, path):
    path.write_text(json.dumps(trace.to_dict("records")))


def to_json_lines(trace, path):
    path.write_text("\n".join(json.dumps(act) for act in trace.to_dict("records")))


WRITERS = {
    "csv": partial(pd.DataFrame.to_csv, index=False),
    "parquet": pd.DataFrame.to_parquet,
    "json": to_json,
    "jsonl": to_json_lines,
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", RULES)
def test_a_trace_played_again_gives_the_same_market(tmp_path, name, kind):
    """To the last base unit, under every rule: claims, rewards and collected balances too."""
    asked = {**RULES[name], "closes_s": 1.5 * DAY}
    first = played(market(market=asked))
    trace = first["trace"]
    WRITERS[kind](trace, tmp_path / f"acts.{kind}")
    again = played(market(market={**asked, "replay_of": f"acts.{kind}"}), tmp_path)
    assert len(first["submissions"]) > 50
    for table in ("submissions", "claims", "trace", "balances"):
        left = first[table].drop(columns="round", errors="ignore")
        right = again[table].drop(columns="round", errors="ignore")
        pd.testing.assert_frame_equal(
            left, right, check_dtype=False, check_categorical=False, check_exact=True
        )


ACTS = "time,agent,action,sample,label,offer\n0,Good,add,20,1,50\n7,Bad,wait,,,\n"


@pytest.mark.parametrize(
    ("text", "names", "error"),
    [
        ("a,b\n1,2\n", ["x", "y", "z"], "no column 'time_s'"),
        (ACTS, ["Good", "Evil", "Ugly"], "row 2, device = 'Bad': one of market.names: Good, Evil"),
        (ACTS.replace("20,1,", "20,2,"), ["Good", "Bad", "C"], "row 1, label = .*0..1"),
        (ACTS.replace("20,1,", "-1,1,"), ["Good", "Bad", "C"], "row 1, sample = -1"),
        (ACTS.replace("20,1,", "2.5,1,"), ["Good", "Bad", "C"], "sample = 2.5.*whole number"),
        (ACTS.replace("add", "steal"), ["Good", "Bad", "C"], "action = 'steal': one of add"),
        (ACTS.replace("7,Bad", "-7,Bad"), ["Good", "Bad", "C"], "row 2, time_s = -7"),
        (ACTS.replace("50", "lots"), ["Good", "Bad", "C"], "offer = 'lots': must be a number"),
        ("", ["Good", "Bad", "C"], "cannot be read as a table"),
        ("time_s,device,action\n", [], "has no acts; the table needs a row for each"),
        (
            "time,time_s,device,action\n1,2,0,wait\n",
            [],
            "two columns say 'time_s', also called time; keep one",
        ),
        (ACTS.replace("0,Good", "inf,Good"), ["Good", "Bad", "C"], "row 1, time_s = inf: must be"),
        (ACTS.replace("0,Good", "when,Good"), ["Good", "Bad", "C"], "row 1, time_s = 'when': must"),
        (ACTS.replace("20,1,50", "20,,50"), ["Good", "Bad", "C"], "row 1, label = nan: must be a"),
        (ACTS.replace("20,1,50", "20,1,-1"), ["Good", "Bad", "C"], "row 1, offer = -1"),
        (ACTS, [], "row 1, device = 'Good': must be a whole number in 0..2"),
        ("\x00\x01\x02", [], "no column 'time_s'"),
        ('{"time_s": 1, "device": 0, "action": "wait"}\n', [], "no column 'time_s'"),
    ],
)
def test_wrong_recorded_acts_are_refused_in_one_line(tmp_path, text, names, error):
    (tmp_path / "acts.csv").write_text(text)
    scenario = market(market={"replay_of": "acts.csv", "names": names})
    with pytest.raises(DataError, match=error) as raised:
        World(scenario, tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("column", "values", "error"),
    [
        ("action", [["add"], ["wait"]], r"row 1, action = array.*one of add"),
        ("time_s", [{"at": 1}, {"at": 2}], r"row 1, time_s = .*must be a number"),
        ("device", [None, 1], r"row 1, device = nan: must be a whole number"),
        ("time_s", [True, True], r"row 1, time_s = .*must be a number of at least 0"),
        ("offer", ["1_0", "1_0"], r"row 1, offer = '1_0': must be a number of at least 0 and at"),
        ("sample", [b"2", b"x"], r"row 2, sample = b'x': must be a whole number"),
        ("offer", [{"at": 1}, {"at": 2}], r"row 1, offer = .*must be a number"),
        ("accuracy", [[0.5, 0.6], []], r"row 1, accuracy = array.*must be a number"),
    ],
)
def test_columns_of_parquet_files_that_hold_something_else_are_refused(
    tmp_path, column, values, error
):
    act = {"time_s": 1.0, "device": 0, "action": "add", "sample": 1, "label": 0, "offer": 9.0}
    frame = pd.DataFrame([act, act])
    frame.assign(**{column: values}).to_parquet(tmp_path / "acts.parquet")
    with pytest.raises(DataError, match=error) as raised:
        World(market(market={"replay_of": "acts.parquet"}), tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("acts.json", "[1]"),
        ("acts.json", '{"time_s": 1}'),
        ("acts.json", "[" * 100_000),
        ("acts.json", "never"),
        ("acts.jsonl", '{"time_s": 1, "device": 0, "action": "wait"}\n3'),
        ("acts.jsonl", "\n"),
        ("acts.json", "[]"),
    ],
)
def test_json_that_is_no_list_of_acts_is_refused(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError, match=rf"{file}: cannot be read as a table") as raised:
        World(market(market={"replay_of": file}), tmp_path)
    assert "\n" not in str(raised.value)


def test_acts_of_a_stranger_are_played_to_the_last_unit(tmp_path):
    """Other names of columns, names of contributors, other columns beside; amounts by hand."""
    apart = {**SMALL["data"]["params"], "separation": 8.0}
    y = datasets.create("synthetic", apart).load(None).y_train
    right, wrong = int(y[20]), 1 - int(y[21])
    (tmp_path / "runs.csv").write_text(
        "step,agent,time,action,sample,label,value,accuracy,note\n"
        f"0,Good,100,submit,20,{right},50,0.7,first\n"
        f"1,Bad,110,submit,21,{wrong},100,0.7,cheap\n"
        "2,Bad,111,submit,22,0,59,0.7,below the price of 60\n"
        f"3,Good,{100 + DAY},claim,,,,0.7,not yet\n"
        f"4,Good,{110.5 + DAY},claim,,,,0.8,refund and report\n"
        f"5,Caller,{111 + DAY},predict,,,10,0.8,pays the verified\n"
    )
    asked = {"replay_of": "runs.csv", "names": ["Good", "Bad", "Caller"], "fees": "verified"}
    scenario = market(market=asked, data={**SMALL["data"], "params": apart})
    tables = played(scenario, tmp_path)
    costs = tables["submissions"]["cost"]
    assert costs.iloc[:2].tolist() == [6 * TOKEN, 20 * TOKEN]
    assert costs.isna().tolist() == [False, False, True]
    claims = tables["claims"]
    assert claims[["device", "kind", "author", "amount"]].to_numpy().tolist() == [
        [0, "refund", 0, 6 * TOKEN],
        [0, "report", 1, 20 * TOKEN],
    ]
    assert tables["queries"]["paid"].tolist() == [10 * TOKEN]
    end = tables["balances"].query("moment == 'end'")["balance"] / TOKEN
    assert end.tolist() == [10_030.0, 9_980.0, 9_990.0]
    assert tables["trace"]["accuracy"].tolist() == [0.7] * 4 + [0.8] * 2


NUMBER = "1" + 400 * "0"


@pytest.mark.parametrize("key", ["time_s", "device", "offer"])
def test_a_number_that_is_too_large_for_any_is_refused(tmp_path, key):
    act = '{"time_s": 1, "device": 0, "action": "predict", "offer": 1}'
    (tmp_path / "acts.jsonl").write_text(act.replace(f'"{key}": ', f'"{key}": {NUMBER}'))
    with pytest.raises(DataError, match=rf"row 1, {key} = .*must be a"):
        World(market(market={"replay_of": "acts.jsonl"}), tmp_path)


def test_names_in_a_csv_file_are_what_is_written(tmp_path):
    acts = "time,agent,action\n1,01,wait\n2,NA,wait\n3,null,wait\n"
    (tmp_path / "acts.csv").write_text(acts)
    asked = {"replay_of": "acts.csv", "names": ["null", "01", "NA"]}
    tables = played(market(market=asked), tmp_path)
    assert tables["trace"]["device"].tolist() == [1, 2, 0]


@pytest.mark.parametrize("noted", [b"{}", b"[]", b"\xff", b'{"index_columns": ["time_s"]}'])
def test_what_a_program_noted_in_a_parquet_file_is_not_read(tmp_path, noted):
    columns = {"time_s": [1.0], "device": [0], "action": ["wait"]}
    table = pa.table(columns).replace_schema_metadata({b"pandas": noted})
    pq.write_table(table, tmp_path / "acts.parquet")
    tables = played(market(market={"replay_of": "acts.parquet"}), tmp_path)
    assert len(tables["trace"]) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"dataset": "npz", "params": {"file": "/etc/passwd"}}, "only with --trust"),
        ({"dataset": "npz", "params": {"file": "../secrets.npz"}}, "only with --trust"),
        ({"dataset": "fashion-mnist", "params": {"download": True}}, "download = true to fetch"),
    ],
)
def test_a_run_of_a_stranger_fetches_nothing_and_reads_no_other_file(
    tmp_path, monkeypatch, data, said
):
    """A comparison loads data again, but only those of the folder of data files."""
    run = fs.run(market(), out=tmp_path / "run")
    file = run.path / "scenario.toml"
    keys = tomllib.loads(file.read_text())
    keys["data"] |= data
    file.write_text(tomli_w.dumps(keys))
    relisted(run.path)
    monkeypatch.setattr("urllib.request.urlopen", None)
    with pytest.raises(FedstakeError, match=said) as raised:
        compare_markets(fs.open_run(run.path), ["free"], data=tmp_path)
    assert "\n" not in str(raised.value)


def test_a_forged_number_of_rounds_is_not_played(tmp_path):
    run = fs.run(market(), out=tmp_path / "run")
    file = run.path / "scenario.toml"
    file.write_text(file.read_text().replace("rounds = 3", "rounds = 1000000"))
    relisted(run.path)
    table = compare_markets(fs.open_run(run.path), ["free"])
    assert table["error"].isna().all()


def test_a_missing_file_of_acts_is_named(tmp_path):
    with pytest.raises(DataError, match=r"market.replay_of = 'no.csv': there is no"):
        World(market(market={"replay_of": "no.csv"}), tmp_path)


def test_rules_are_compared_on_the_acts_of_a_run(tmp_path):
    run = fs.run(market(), out=tmp_path / "run")
    table = compare_markets(run, ["deposit-refund-take", "free"])
    assert list(table.columns) == list(COLUMNS)
    assert table["error"].isna().all()
    income = table.set_index(["mechanism", "device"])["income"]
    assert (income["free"] == 0).all()
    balances = run.table("balances").set_index(["moment", "device"])["balance"]
    assert income["deposit-refund-take"].tolist() == (balances["end"] - balances["start"]).tolist()


def test_a_run_without_a_trace_cannot_be_compared(tmp_path):
    run = fs.run(market(record={}), out=tmp_path / "run")
    with pytest.raises(RunError, match=r"no trace; record one with --set record.trace=true"):
        compare_markets(run)


# --- keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"market": {"provider": 3}}, "market.provider"),
        ({"market": {"params": {"sweep_wait_s": 100.0}}}, "market.params.sweep_wait_s"),
        ({"market": {"names": ["a", "b", "c"]}}, "market.names"),
        ({"data": {**SMALL["data"], "n": 10}}, "data.n"),
        ({"payout": {"initial_balance": 2**62}}, "payout.initial_balance"),
    ],
)
def test_impossible_markets_are_refused(changes, key):
    with pytest.raises(ScenarioError) as raised:
        market(**changes)
    assert str(raised.value).startswith(f"test: {key} = ")


BAD_INPUT = {
    "market.params.sweep_wait_s=604800": "must be more than refund_wait_s + 7 days = 691200",
    "market.params.refund_wait_s=-1": "refund_wait_s = -1.0: must be >= 0",
    "market.rule=prediction-market market.params.bounty=0": "bounty = 0: must be >= 1",
    "market.rule=prediction-market market.params.bounty=0.5": "market.params.bounty = 0.5",
    "market.rule=prediction-market market.params.pieces=501": "market.params.pieces = 501: must be",
    "market.rule=prediction-market market.params.pieces=1": "market.params.pieces = 1",
    "market.rule=prediction-market market.params.provider=0": "unknown parameter",
    "market.rule=prediction-market market.provider=0": "must hold the bounty of",
    "market.params.unit=1": "market.params.unit = 1: unknown parameter",
    "market.replay_of=no.csv": "there is no",
    "data.initial=5000": "data.initial = 5000: below",
    "data.initial=0": "data.initial = 0",
    "data.n=50": "data.n = 50: 0 for all, or more than the 100",
    "data.n=-1": "data.n = -1",
    "market.model=perceptron": "two classes",
}
"""Keys of the preset sum-digits that cannot be, and what is said."""


@pytest.mark.parametrize(("keys", "said"), BAD_INPUT.items())
def test_bad_input_is_refused_in_one_line(tmp_path, keys, said):
    words = [word for key in keys.split() for word in ("--set", key)]
    done = CliRunner().invoke(app, ["run", "sum-digits", "--out", str(tmp_path / "run"), *words])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert done.output.startswith("fedstake: ")
    assert done.output.count("\n") == 1


def test_offers_that_cannot_be_are_errors_of_their_behaviour(tmp_path):
    (tmp_path / "wild.py").write_text(
        "from agents.contributors.base import Contributor\n"
        "from mechanisms.vocabulary import Offer\n"
        "class Wild(Contributor):\n"
        "    name = 'wild'; summary = 'gives labels that are none'; reference = 'a test'\n"
        "    def act(self, seen):\n"
        "        return Offer(9, seen.budget)\n"
    )
    group = {"name": "wild", "count": 1, "contributor": f"{tmp_path}/wild.py:Wild"}
    with pytest.raises(Exception, match=r"wild.py:5 in Wild.act, round 1.*label 9.*0\.\.1"):
        play(market(adversaries=[group]))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    first, again, other = play(market()), play(market()), play(market(seed=1))
    assert digest(first) == digest(again) != digest(other)


def test_groups_that_do_not_deviate_are_no_adversaries():
    callers = {"name": "callers", "devices": [2], "contributor": "caller", "adversary": False}
    tables = played(market(adversaries=[callers]))
    assert not tables["participants"]["adversary"].any()
    assert set(tables["participants"]["group"]) == {"honest", "callers"}
    assert len(tables["queries"]) > 0


def test_as_published_times_and_deposits_are_whole():
    tables = played(market(market={"as_published": True}))
    assert (tables["trace"]["time_s"] % 1 == 0).all()
    assert (tables["submissions"]["offer"] % TOKEN == 0).all()
    assert (played(market())["trace"]["time_s"] % 1 != 0).any()
