"""Referenda: from a proposal to a parameter in force; money is locked, paid and given back."""

from pathlib import Path

import pytest

from experiments.conformance.protocols import ProtocolConformance
from experiments.conformance.protocols import play as tables_of
from experiments.loader import validate
from fedstake.errors import FedstakeError
from mechanisms.registry import import_by_path
from sim.keys import SettingError

DAY = 86_400.0
PATH = f"{Path(__file__).parents[1] / 'plugins' / 'assembly.py'}:Assembly"


class TestAssembly(ProtocolConformance):
    plugin = import_by_path(PATH)


def proposal(**changes):
    return {"round": 1, "changes": {"fee": 20}, "proposer": 0, **changes}


def play(*proposals, groups=(), devices=5, rounds=5, balance=10_000, **keys):
    """The tables of an assembly as frames; proposals cost nothing unless asked for."""
    values = {
        "protocol": PATH,
        "rounds": rounds,
        "devices": devices,
        "payout": {"initial_balance": balance},
        "referenda": {"proposals": list(proposals or [proposal()]), **keys},
        "adversaries": [{"name": f"group-{i}", **group} for i, group in enumerate(groups)],
    }
    return {name: t.to_pandas() for name, t in tables_of(validate(values, "test")).items()}


def only(table):
    assert len(table) == 1
    return table.iloc[0]


def moved(tables, reason):
    journal = tables["journal"]
    return journal[journal["reason"] == reason]


# --- decisions --------------------------------------------------------------------------------


def test_what_passes_is_in_force_after_the_delay_and_not_before():
    tables = play(proposal(worth=1.0, round=2), rounds=7)
    row = only(tables["referenda"])
    assert (row["status"], row["ayes"], row["nays"], row["electorate"]) == ("passed", 5, 0, 5)
    assert (row["opened_s"], row["decided_s"]) == (1 * DAY, 4 * DAY), "three days of a Governor"
    assert tables["rounds"]["fee"].tolist() == [10, 10, 10, 10, 20, 20, 20]
    assert row["before"] == "fee = 10"
    assert row["changes"] == "fee = 20"


def test_what_is_rejected_changes_nothing():
    tables = play(proposal(worth=-1.0))
    assert only(tables["referenda"])["status"] == "rejected"
    assert set(tables["rounds"]["fee"]) == {10}
    assert tables["participants"]["benefit"].abs().sum() == 0


def test_a_passed_proposal_is_worth_what_it_is_worth():
    tables = play(proposal(worth=3.0, gain=4.0))
    people = tables["participants"]
    benefit = people[people["round"] == 4].set_index("device")["benefit"]
    assert benefit.tolist() == [7, 3, 3, 3, 3]


@pytest.mark.parametrize(("venue", "days"), [("governor", 3), ("safe", 1), ("custom-contract", 1)])
def test_venues_decide_when(venue, days):
    tables = play(proposal(worth=1.0), venue=venue)
    assert only(tables["referenda"])["decided_s"] == days * DAY


def test_a_vote_that_the_run_ends_before_lapses_and_gives_back():
    tables = play(proposal(worth=1.0), rule="stake-weighted", delay_s=9 * DAY)
    assert only(tables["referenda"])["status"] == "lapsed"
    assert moved(tables, "vote.locked")["amount"].sum() == 5 * 5_000
    last = tables["participants"].groupby("device").last()
    assert (last["balance"] == 10_000).all()
    assert (last["locked"] == 0).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tax": 1}, "tax: no such parameter; known: fee, share.a, share.b"),
        ({"fees": 1}, "fees: no such parameter; did you mean 'fee'"),
        ({"fee": 101}, "fee: must be from 0 to 100"),
        ({"fee": 0.5}, "fee: must be a whole number"),
        ({"share.a": 0.6}, "shares add up to 1.1, must be 1"),
    ],
)
def test_impossible_proposals_are_refused_before_the_run(changes, reason):
    with pytest.raises(SettingError, match=f"referenda.proposals.0.changes.*{reason}"):
        play(proposal(changes=changes))


def test_what_was_possible_once_and_is_not_any_more_is_void():
    """Half and half is right at the start, and wrong beside three quarters."""
    first = proposal(changes={"share.a": 0.25, "share.b": 0.75}, worth=1.0)
    tables = play(first, proposal(changes={"share.a": 0.5}, worth=1.0))
    assert tables["referenda"]["status"].tolist() == ["passed", "void"]
    incident = only(tables["incidents"])["kind"]
    assert incident == "execution refused: shares add up to 1.25, must be 1"


def test_what_is_not_possible_when_it_is_proposed_is_refused():
    first = proposal(changes={"share.a": 0.25, "share.b": 0.75}, worth=1.0)
    later = proposal(changes={"share.a": 0.5}, worth=1.0, round=5)
    tables = play(first, later)
    assert only(tables["referenda"])["status"] == "passed"
    incident = only(tables["incidents"])["kind"]
    assert incident == "proposal refused: shares add up to 1.25, must be 1"


def test_shares_change_together():
    tables = play(proposal(changes={"share.a": 0.25, "share.b": 0.75}, worth=1.0))
    assert only(tables["referenda"])["status"] == "passed"


def test_a_tie_is_no_majority():
    absent = {"devices": [4], "voter": "abstaining"}
    against = {"devices": [2, 3], "voter": "capturer", "voter_params": {"aim": "reject"}}
    row = only(play(proposal(worth=1.0), groups=[absent, against])["referenda"])
    assert (row["ayes"], row["nays"], row["status"]) == (2, 2, "rejected")


# --- money ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "cost"),
    [
        ({"venue": "governor", "cost": "least"}, 200),
        ({"venue": "governor"}, 600),
        ({"venue": "governor", "cost": "most"}, 1_000),
        ({"venue": "safe"}, 100),
        ({"venue": "custom-contract"}, 250),
    ],
)
def test_the_proposer_pays_what_the_venue_costs(keys, cost):
    tables = play(units_per_usd=2, **keys)
    assert only(moved(tables, "fee.referendum"))["amount"] == cost
    assert only(tables["referenda"])["cost"] == cost


@pytest.mark.parametrize(
    ("units", "paid", "ballot"), [(10**6, 81, 40), (10**7, 812, 406), (10**9, 81_200, 40_600)]
)
def test_on_substrate_everybody_pays_for_a_remark(units, paid, ballot):
    """8.12 millionths of a token at 5 USD: 40.6 millionths of a dollar a remark, floored."""
    keys = {"venue": "substrate", "units_per_usd": units, "balance": 10**6}
    tables = play(proposal(worth=1.0), **keys)
    assert only(moved(tables, "fee.referendum"))["amount"] == paid
    assert moved(tables, "fee.ballot")["amount"].tolist() == [ballot] * 5


def test_who_cannot_pay_proposes_nothing():
    tables = play(units_per_usd=100, balance=29_999)
    assert (
        only(tables["incidents"])["kind"] == "proposal refused: cannot pay the cost of a proposal"
    )
    assert len(play(units_per_usd=100, balance=30_000)["referenda"]) == 1


def test_stakes_are_locked_during_the_vote_and_come_back():
    tables = play(proposal(worth=1.0), rule="stake-weighted")
    locked = tables["participants"].groupby("round")["locked"].sum()
    assert locked.tolist() == [25_000, 25_000, 25_000, 0, 0]
    assert moved(tables, "vote.unlocked")["time_s"].unique().tolist() == [3 * DAY]


def test_the_same_stake_stands_behind_several_proposals():
    """As on Substrate: locks lie over each other."""
    two = [proposal(worth=1.0), proposal(worth=1.0, round=2, changes={"fee": 30})]
    tables = play(*two, rule="stake-weighted")
    assert tables["referenda"]["ayes"].tolist() == [25_000, 25_000]
    locked = tables["participants"].groupby("round")["locked"].sum()
    assert locked.tolist() == [25_000, 25_000, 25_000, 25_000, 0]


def test_conviction_keeps_the_stakes_that_won_under_lock():
    """Device 1 wins with conviction 3, four periods of a day; device 2 loses with 6."""
    winner = {"devices": [1], "voter_params": {"conviction": 3, "stake": 1.0}}
    loser = {
        "devices": [2],
        "voter": "capturer",
        "voter_params": {"aim": "reject", "conviction": 6, "stake": 0.1},
    }
    tables = play(
        proposal(worth=1.0),
        groups=[winner, loser],
        rule="conviction",
        params={"lock_period_s": DAY},
        venue="safe",
        rounds=8,
    )
    row = only(tables["referenda"])
    assert (row["ayes"], row["nays"]) == (3 * 5_000 + 3 * 10_000, 6 * 1_000)
    locked = tables["participants"].pivot_table(index="round", columns="device", values="locked")
    assert locked[1].tolist() == [10_000] * 5 + [0] * 3, "until day 1 + 4"
    assert locked[2].tolist() == [1_000] + [0] * 7
    assert locked[0].tolist() == [5_000] * 2 + [0] * 6, "one period after the vote"


# --- capture ------------------------------------------------------------------------------------

SELLERS = [
    {"devices": [i], "voter": "bought", "voter_params": {"price": price}}
    for i, price in enumerate((5, 1, 4, 2, 7, 3, 6))
]


def capture(budget, means="votes", **keys):
    """Seven sellers and three loyal members against a buyer: a proposal that nobody wants."""
    buyer = {
        "devices": [10],
        "voter": "capturer",
        "voter_params": {"aim": "pass", "budget": budget, "means": means, "stake": 0.0},
    }
    groups = [*SELLERS, buyer]
    return play(proposal(worth=-1.0, proposer=10), groups=groups, devices=11, **keys)


def test_capture_costs_the_cheapest_prices_that_turn_the_vote():
    """One for and ten against: six votes are a majority, the buyer has one, five cost 1 to 5."""
    tables = capture(budget=15)
    row = only(tables["referenda"])
    assert (row["status"], row["bought"], row["paid"], row["captured"]) == ("passed", 5, 15, True)
    assert row["vote_price"] == 15
    assert sorted(moved(tables, "vote.bought")["amount"]) == [1, 2, 3, 4, 5]
    cast = tables["ballots"].set_index("device")
    assert cast[cast["buyer"].notna()].index.tolist() == [0, 1, 2, 3, 5]
    assert tables["rounds"]["fee"].iloc[-1] == 20


def test_a_unit_less_captures_nothing():
    row = only(capture(budget=14)["referenda"])
    assert (row["status"], row["bought"], row["paid"], row["captured"]) == ("rejected", 0, 0, False)
    assert row["vote_price"] == 15, "the price is known whether anybody pays it or not"


def test_leased_stake_is_cheaper_than_whole_ballots():
    """Ten stakes of 5,000 against none: 25,001 turn it; the sixth ballot is leased in part."""
    tables = capture(budget=1_000, means="stake", rule="stake-weighted")
    row = only(tables["referenda"])
    assert row["stake_price"] == row["paid"] == 1 + 2 + 3 + 4 + 5 + 1
    assert row["vote_price"] == 1 + 2 + 3 + 4 + 5 + 6
    leased = tables["ballots"].dropna(subset=["buyer"]).set_index("device")["stake"]
    assert leased[6] == 1
    assert leased.sum() == 25_001
    assert row["captured"]


def test_capture_has_no_price_where_the_loyal_are_enough():
    row = only(play(proposal(worth=-1.0), groups=SELLERS[:2])["referenda"])
    assert row.isna()["vote_price"]


def test_reservation_prices_count_what_the_outcome_costs():
    seller = {"voter": "bought", "voter_params": {"price": 2, "loss_share": 0.5}}
    groups = [seller | {"count": 5}]
    row = only(play(proposal(worth=-7.0), groups=groups)["referenda"])
    assert row["vote_price"] == 3 * (2 + 4), "half of 7, rounded up, for three of five"


def test_a_buyer_pays_no_more_than_the_outcome_is_worth():
    buyer = {"devices": [10], "voter": "capturer"}
    for gain, captured in [(16, True), (15, False)]:
        planned = proposal(worth=-1.0, proposer=10, gain=gain)
        row = only(play(planned, groups=[*SELLERS, buyer], devices=11)["referenda"])
        assert row["captured"] == captured


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("return True", "vote: must return a Ballot, returned a bool"),
        ("return fs.Ballot(True, 10**9)", "stakes 1000000000 base units, it can lock 10000"),
        ("return fs.Ballot(True, 1, 7)", "conviction must be 0 to 6, it is 7"),
    ],
)
def test_wrong_ballots_name_file_and_device(tmp_path, register, method, message):
    (tmp_path / "mine.py").write_text(
        "import fedstake as fs\n"
        "class Mine(fs.Voter):\n"
        "    name = summary = reference = 'mine'\n"
        f"    def vote(self, seen):\n        {method}\n"
    )
    group = {"devices": [3], "voter": f"{tmp_path / 'mine.py'}:Mine"}
    with pytest.raises(FedstakeError, match=f"mine.py.*device 3.*{message.split(':')[-1]}"):
        play(proposal(worth=1.0), groups=[group], rule="stake-weighted")
