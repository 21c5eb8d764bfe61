"""Referenda of a collective economy: fees, pools, thresholds and clients change by vote."""

import pytest

from experiments.conformance.protocols import play
from experiments.loader import ScenarioError, validate
from sim.keys import SettingError
from sim.protocols.collective import Collective


def tables_of(*proposals, rounds=4, groups=(), referenda=None, **keys):
    """The tables of a small collective whose referenda are decided at the next round's start."""
    values = Collective.example() | {"rounds": rounds, "adversaries": list(groups)} | keys
    values["payout"] = {"initial_balance": 1_000}
    planned = [{"round": 1, "worth": 1.0, **p} for p in proposals]
    values["referenda"] = {"proposals": planned, "delay_s": 0.0, **(referenda or {})}
    return {name: t.to_pandas() for name, t in play(validate(values, "test")).items()}


def test_a_licence_fee_by_jurisdiction_changes_by_vote():
    """M23: the client is in the first of two jurisdictions."""
    licences = {
        "fee": 900,
        "rounds": 1,
        "jurisdictions": [{"name": "eu", "fee": 800}, {"name": "us", "fee": 700}],
    }
    tables = tables_of({"changes": {"licences.fee.eu": 300}, "round": 2}, licences=licences)
    fees = tables["licences"].set_index("round")["fee"]
    assert fees.to_dict() == {1: 800, 2: 800, 3: 300, 4: 300}
    row = tables["referenda"].iloc[0]
    assert (row["before"], row["status"]) == ("licences.fee.eu = 800", "passed")
    assert row["electorate"] == 10


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        (
            {"licences.fee": 300},
            {"licences": {"jurisdictions": [{"name": "eu", "fee": 800}]}},
        ),
        ({"approval.share": 0.9}, {"approval": {"params": {"decided": "median"}}}),
    ],
)
def test_a_number_that_decides_nothing_cannot_be_proposed(changes, keys):
    with pytest.raises((SettingError, ScenarioError), match=next(iter(changes))):
        tables_of({"changes": changes}, **keys)


def test_a_client_that_is_not_eligible_any_more_buys_nothing():
    tables = tables_of({"changes": {"clients.8": 0}}, licences={"rounds": 1, "fee": 100})
    assert tables["licences"]["round"].tolist() == [1]


def test_a_threshold_of_approval_changes():
    """From the second round on four of three members must approve: nothing is any more."""
    before = tables_of({"changes": {"approval.needed": 4}, "worth": -1.0}, rounds=5)["submissions"]
    after = tables_of({"changes": {"approval.needed": 4}}, rounds=5)["submissions"]
    assert before[before["round"] > 1]["approved"].any()
    assert not after[after["round"] > 1]["approved"].any()


def test_pools_of_engineers_and_annotators_are_divided_anew():
    """A tenth of the stake moves, and no unit more or less."""
    tables = tables_of({"changes": {"pools.engineers": 0.4, "pools.annotators": 0.1}})
    moved = tables["journal"].query("reason == 'pool.redivided'").iloc[0]
    assert (moved["debit"], moved["credit"]) == ("pool:annotators", "pool:engineers")
    assert moved["amount"] == 20_000


def test_income_tops_up_pools_after_a_vote():
    tables = tables_of({"changes": {"pools.top_up": 1.0}}, licences={"rounds": 1, "fee": 100})
    fees = tables["journal"].query("reason == 'licence.fee'")
    first, later = fees[fees["round"] == 1], fees[fees["round"] > 1]
    assert set(first["credit"]) == {"device:9"}
    assert later.groupby("credit")["amount"].sum()["pool:engineers"] > 0


def test_members_alone_can_be_the_electorate():
    tables = tables_of({"changes": {"engineers.charge": 5}}, referenda={"electorate": "members"})
    row = tables["referenda"].iloc[0]
    assert row["electorate"] == row["ayes"] == 3
    charges = tables["journal"].query("reason == 'engineer.charge'")
    assert charges.empty or charges["round"].min() > 1


def test_stakes_of_voters_are_locked_and_counted_as_theirs():
    tables = tables_of(
        {"changes": {"engineers.charge": 5}},
        referenda={"rule": "stake-weighted", "delay_s": 1e6},
        rounds=3,
    )
    people = tables["participants"]
    assert (people[people["round"] == 1]["locked"] > 0).all()
    assert people[people["round"] == 3]["locked"].sum() == 0
    assert tables["referenda"]["status"].tolist() == ["lapsed"]
    locked = tables["journal"].query("reason == 'vote.locked'")["amount"].sum()
    assert locked == tables["journal"].query("reason == 'vote.unlocked'")["amount"].sum()


def test_a_capturer_buys_a_higher_share_for_engineers():
    """Six sell at 10 each: the engineer needs five more than its own of ten votes."""
    groups = [
        {
            "name": "sellers",
            "devices": [0, 1, 2, 3, 6, 7],
            "voter": "bought",
            "voter_params": {"price": 10},
        },
        {"name": "captor", "devices": [4], "voter": "capturer"},
    ]
    planned = {
        "changes": {"pools.engineers": 0.5, "pools.annotators": 0.0},
        "worth": -1.0,
        "proposer": 4,
        "gain": 51.0,
    }
    row = tables_of(planned, groups=groups)["referenda"].iloc[0]
    assert (row["status"], row["captured"], row["paid"]) == ("passed", True, 50)
    poor = tables_of(planned | {"gain": 50.0}, groups=groups)["referenda"].iloc[0]
    assert (poor["status"], poor["paid"], poor["vote_price"]) == ("rejected", 0, 50)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"licences.fees": 5}, "no such parameter; did you mean 'licences.fee'"),
        ({"pools.engineers": 0.4}, "must still be 0.5 of the stake, not 0.6"),
        ({"approval.needed": 0}, "approval.needed: must be from 1 to 10000"),
        ({"clients.8": 0.5}, "clients.8: must be a whole number"),
    ],
)
def test_impossible_proposals_are_refused_before_the_run(changes, message):
    with pytest.raises(SettingError, match=f"referenda.proposals.0.changes.*{message}"):
        tables_of({"changes": changes})


def test_a_proposer_that_is_not_there_is_refused():
    with pytest.raises(ScenarioError, match=r"referenda.proposals.0.proposer = 10.*below 10"):
        tables_of({"changes": {"engineers.charge": 5}, "proposer": 10})


def test_a_run_without_proposals_locks_nothing_and_pays_for_no_vote():
    values = Collective.example() | {"referenda": {}}
    tables = play(validate(values, "test"))
    assert tables["referenda"].num_rows == tables["ballots"].num_rows == 0
    assert not [r for r in tables["journal"]["reason"].to_pylist() if r.startswith("vote.")]
