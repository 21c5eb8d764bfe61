"""The proof of concept, C1 to C7 and C10: what its README promises, on played runs."""

import hashlib

import pytest

from experiments import load_scenario
from experiments.conformance.protocols import play
from experiments.loader import ScenarioError, validate
from sim.keys import SettingError
from sim.protocols.poc import Poc

POOL, STAKE, HELD = 10_000, 50, 100


def tables_of(parts=({"part": "hashed-claims"},), devices=8, rounds=4, params=None, **keys):
    values = Poc.example() | {"devices": devices, "rounds": rounds, "poc": {}} | keys
    values["payout"] = {
        "mechanism": "equal-share",
        "params": {"pool": POOL, "stake": STAKE, "deadline": 3, **(params or {})},
        "initial_balance": HELD,
        "parts": list(parts),
    }
    return {name: t.to_pandas() for name, t in play(validate(values, "test")).items()}


def paid(tables, reason, column="amount"):
    journal = tables["journal"]
    return journal[journal["reason"] == reason][column]


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_users_and_the_organisation_register_with_a_wallet():
    """C1."""
    registry = tables_of()["registry"]
    assert registry["role"].tolist() == ["organisation"] + ["user"] * 8
    assert registry["wallet"].iloc[0] == sha256("organisation")
    assert registry["wallet"].iloc[4] == sha256("device:3")
    assert registry["stake"].tolist() == [0] + [STAKE] * 8


def test_the_organisation_publishes_a_client_and_deposits_the_pool():
    """C2, C3: the digest of what a client runs changes with it; the deposit is the pool."""
    task = tables_of()["task"].iloc[0]
    other = tables_of(training={"epochs": 2, "learning_rate": 0.1})["task"].iloc[0]
    assert task["deposit"] == POOL
    assert task["client"] != other["client"]
    assert task["model"] == other["model"]


def test_updates_after_the_deadline_earn_nothing():
    """C3: who is offline until the deadline is past has trained for nothing."""
    late = {"devices": [2], "from_s": 0.0, "until_s": 1e-6}
    everybody = tables_of()
    end_s = float(everybody["rounds"].set_index("round")["end_s"][3])
    late["until_s"] = end_s + 1e-6
    tables = tables_of(availability={"outages": [late]}, params={"deadline": 2}, rounds=6)
    assert "device:2" not in set(paid(tables, "reward.worker", "credit"))
    worked = tables["participants"].query("device == 2 and accepted == True")["round"]
    assert worked.min() > 2


def test_only_who_stakes_takes_part():
    """C4: nobody with less than the stake is a worker; all stakes return."""
    tables = tables_of(params={"stake": HELD})
    assert (paid(tables, "stake.back") == HELD).all()
    assert paid(tables, "stake.back", "credit").nunique() == 8
    with pytest.raises(SettingError, match="lets 0 devices join 'equal-share'"):
        tables_of(params={"stake": HELD + 1})


def test_the_server_aggregates_what_users_train():
    """C5."""
    rounds = tables_of()["rounds"]
    assert (rounds["accepted_honest"] == 8).all()
    assert rounds["accuracy"].iloc[-1] > rounds["accuracy"].iloc[0] - 0.2


def test_a_server_that_withholds_claims_leaves_the_pool_to_the_organisation():
    """C5: the users have worked for nothing; their stakes still return."""
    tables = tables_of(poc={"server": "withholding"})
    assert paid(tables, "reward.worker").empty
    assert paid(tables, "claim.missing").sum() == POOL
    assert paid(tables, "stake.back").sum() == 8 * STAKE


def test_the_pool_is_shared_equally_among_those_whose_wallet_is_verified():
    """C6, C7: pool / k to each of k; a unit that cannot be divided returns."""
    tables = tables_of(devices=7)
    assert paid(tables, "reward.worker").tolist() == [POOL // 7] * 7
    assert paid(tables, "pool.refund").tolist() == [POOL - 7 * (POOL // 7)]


def test_claims_are_hashes_of_addresses_and_pay_on_match_only():
    """C7: a missing or mistyped hash is not paid, and its share goes back."""
    tables = tables_of(devices=30, poc={"missing": 0.3, "mistaken": 0.3})
    people = tables["participants"].query("round == 3").set_index("device")
    right = {f"device:{d}" for d, text in people["claim"].items() if text == sha256(f"device:{d}")}
    assert 0 < people["claim"].isna().sum() < 30
    assert 0 < len(right) < people["claim"].notna().sum()
    assert set(paid(tables, "reward.worker", "credit")) == right
    share = POOL // 30
    assert paid(tables, "claim.missing").tolist() == [share] * (30 - len(right))
    assert set(paid(tables, "claim.missing", "credit")) == {"organisation"}


def test_the_platform_earns_basis_points_a_fee_to_join_and_a_subscription():
    """C10."""
    fees = {"reward_bps": 250, "join": 4, "subscription": 10, "prepaid": 35}
    parts = [{"part": "hashed-claims"}, {"part": "platform-fees", "params": fees}]
    tables = tables_of(parts, devices=8)
    share = POOL // 8
    fee = share * 250 // 10_000
    assert paid(tables, "reward.worker").tolist() == [share - fee] * 8
    assert paid(tables, "fee.platform").tolist() == [fee] * 8
    assert paid(tables, "fee.join").tolist() == [4] * 8
    assert paid(tables, "fee.subscription").tolist() == [10, 10, 10, 5]


def test_the_subscription_that_was_not_used_returns():
    fees = {"subscription": 10, "prepaid": 100}
    tables = tables_of([{"part": "platform-fees", "params": fees}], rounds=4)
    assert paid(tables, "fee.back").tolist() == [60]


def test_nothing_stays_behind():
    journal = tables_of(poc={"missing": 0.4})["journal"]
    held = (
        journal.groupby("credit")["amount"]
        .sum()
        .sub(journal.groupby("debit")["amount"].sum(), fill_value=0)
    )
    escrows = held[held.index.str.startswith("escrow:")]
    assert len(escrows) == 2
    assert (escrows == 0).all()


def test_free_riders_earn_as_much_as_everybody_else():
    """C6: with equal shares minimal effort is the best there is, unless success is tested."""
    scenario = load_scenario("poc").replace(
        rounds=3, **{"payout.params.deadline": 3, "poc": {"missing": 0.0, "mistaken": 0.0}}
    )
    people = play(scenario)["participants"].to_pandas()
    income = people.groupby("adversary")["income"].sum() / people.groupby("adversary").size()
    assert income[True] == pytest.approx(income[False], rel=1e-9)


@pytest.mark.parametrize(
    ("poc", "message"),
    [
        ({"missing": 0.6, "mistaken": 0.5}, "poc.mistaken = 0.5.*at most 0.4"),
        ({"server": "absent"}, "poc.server.*honest"),
    ],
)
def test_impossible_claims_are_refused(poc, message):
    with pytest.raises(ScenarioError, match=message):
        tables_of(poc=poc)


def test_claims_need_a_rule_that_pays_by_them():
    with pytest.raises(ScenarioError, match="hashed-claims"):
        tables_of([], poc={"missing": 0.5})
    with pytest.raises(ScenarioError, match="needs protocol = 'poc': it observes wallets"):
        validate(
            {
                "protocol": "fedavg",
                "payout": {"mechanism": "flat", "parts": [{"part": "hashed-claims"}]},
            },
            "test",
        )
