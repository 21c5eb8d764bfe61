"""Coordinated rounds: what commit-reveal, checks and bonds do to those they are made against."""

import hashlib

import pandas as pd
import pytest

from experiments import ScenarioError, load_scenario
from mechanisms import registries as rules
from sim.world import World

SMALL = {
    "rounds": 3,
    "devices": 8,
    "data.dataset": "digits",
    "model.name": "softmax",
    "training.epochs": 1,
    "adversaries": [],
    "coordinator.verifier": "oracle",
    "coordinator.challenge_s": 5.0,
}


def played(**changes):
    small = SMALL
    if changes.get("coordinator.aggregator") == "organisation":  # nobody challenges it
        small = {key: value for key, value in SMALL.items() if key != "coordinator.challenge_s"}
    world = World(load_scenario("coordinator", {**small, **changes}))
    for _ in world.run():
        pass
    tables = {name: table.to_pandas() for name, table in world.kernel.recorder.tables().items()}
    tables["reasons"] = pd.Series(
        [e.reason for e in world.kernel.treasury.ledger.journal]
    ).value_counts()
    for account in world.protocol.game.payout.accounts():
        assert (
            not account.startswith("escrow")
            or world.kernel.treasury.ledger.balance(account, world.kernel.treasury.asset) == 0
        )
    world.close()
    return tables


def group(**settings):
    return [{"name": "bad", "devices": [0, 1], **settings}]


def conduct(tables):
    p = tables["participants"]
    return (
        p[p.conduct.notna()]
        .groupby("group", observed=True)
        .conduct.agg(lambda c: sorted(set(c)))
        .to_dict()
    )


def test_honest_members_are_verified_and_paid_in_every_round():
    tables = played()
    assert conduct(tables) == {"honest": ["verified"]}
    assert (tables["rounds"].accepted_honest == 7).all(), "one of eight aggregates"
    assert tables["rounds"].winner.nunique() > 1
    assert tables["rounds"].accuracy.iloc[-1] > 0.5
    assert tables["incidents"].empty


@pytest.mark.parametrize(
    ("worker", "expected", "incident"),
    [
        ("no-reveal", "unrevealed", "unrevealed"),
        ("switch-reveal", "mismatched", "mismatched"),
        ("free-ride-zero", "rejected", None),
        ("lazy", "rejected", None),
        ("overstate", "rejected", None),
        ("gaussian-noise", "rejected", None),
        ("duplicate", "verified", "duplicate"),
        ("label-flip", "verified", None),
    ],
)
def test_what_becomes_of_cheaters(worker, expected, incident):
    params = {"training.epochs": 2, "coordinator.aggregator": "organisation"}
    tables = played(adversaries=group(worker=worker), **params)
    assert set(conduct(tables)["bad"]) <= {expected}
    assert set(tables["incidents"].kind) == ({incident} if incident else set())
    if expected == "verified":
        return
    bad = tables["participants"][tables["participants"].group == "bad"]
    assert bad.utility.sum() < 0
    assert (
        tables["reasons"].get("forfeit" if expected in ("unrevealed", "mismatched") else "slash", 0)
        > 0
    )


def test_what_never_is_a_number_is_refused_and_noted(tmp_path):
    file = tmp_path / "nan.py"
    file.write_text(
        "import numpy as np\n"
        "from agents.workers.base import WorkerBehaviour\n"
        "from mechanisms.vocabulary import Submission\n"
        "class Bad(WorkerBehaviour):\n    name = 'bad'\n    def submit(self, seen):\n"
        "        return Submission(np.full_like(seen.updates, np.nan), seen.samples, seen.epochs)\n"
    )
    tables = played(adversaries=group(worker=f"{file}:Bad"))
    assert conduct(tables)["bad"] == ["malformed"]
    assert set(tables["incidents"].kind) == {"malformed"}
    assert (tables["rounds"].accepted_adversary == 0).all()


def test_commit_reveal_leaves_a_copier_nothing_to_copy():
    sets = {
        "coordinator.verifier": "re-execution",
        "coordinator.params": {"probability": 0.0},
        "record.local_accuracy": True,
    }
    sets |= {
        "adversaries": group(worker="free-ride-copy"),
        "coordinator.aggregator": "organisation",
    }

    def copied(**more):
        p = played(**sets, **more)["participants"]
        p = p[(p["round"] == 1) & (p.conduct == "verified")]
        return p[p.group == "bad"].local_accuracy.isin(p[p.group == "honest"].local_accuracy).all()

    assert copied(**{"coordinator.commit_reveal": False})
    assert not copied()


def test_a_wrong_aggregate_stands_only_if_nobody_looks():
    bad = {
        "adversaries": group(miner="tamper"),
        "coordinator.aggregator": "fixed",
        "coordinator.aggregator_device": 0,
    }
    watched, alone = (
        played(**bad, **{"coordinator.watch": 1.0}),
        played(**bad, **{"coordinator.watch": 0.0}),
    )
    assert watched["incidents"].kind.tolist() == ["wrong-aggregate"]
    assert watched["rounds"].winner.fillna(-1).tolist() == [0, -1, -1], (
        "without a bond there is no second time"
    )
    assert watched["reasons"]["challenge.won"] == watched["reasons"]["bond.lost"] == 1
    assert alone["incidents"].empty
    assert watched["rounds"].accuracy.iloc[-1] > alone["rounds"].accuracy.iloc[-1] + 0.2


def test_a_censoring_aggregator_is_found_out_too():
    bad = {
        "adversaries": group(miner="censor"),
        "coordinator.aggregator": "fixed",
        "coordinator.watch": 1.0,
    }
    assert played(**bad)["incidents"].kind.tolist() == ["wrong-aggregate"]


def test_who_disputes_what_is_right_pays_for_it():
    tables = played(adversaries=group(miner="grief"), **{"coordinator.watch": 1.0})
    assert set(tables["incidents"].kind) == {"false-challenge"}
    assert tables["reasons"]["challenge.lost"] == len(tables["incidents"])
    assert set(tables["incidents"].device) <= {0, 1}


def test_an_aggregator_that_delivers_nothing_loses_a_part_of_its_bond_and_nobody_is_paid():
    bad = {"adversaries": group(miner="withhold"), "coordinator.aggregator": "fixed", "rounds": 1}
    tables = played(**bad)
    assert tables["reasons"]["bond.absent"] == 1
    assert "reward.worker" not in tables["reasons"]


def test_late_commitments_are_refused():
    slow = {
        "network.compute": "uniform",
        "coordinator.submission_s": 0.2,
        "network.compute_samples_per_s": 1_000.0,
    }
    tables = played(**slow)
    kinds = set(tables["participants"].conduct.dropna())
    assert kinds == {"late", "verified"}
    late = tables["participants"].conduct == "late"
    assert tables["participants"][late].accepted.isna().all()
    assert set(tables["incidents"].kind) == {"late"}


def test_a_bribed_committee_is_a_committee_of_its_behaviours():
    """Colluding members in a majority let each other's noise pass and are paid for it."""
    ring = [
        {
            "name": "ring",
            "devices": list(range(6)),
            "worker": "gaussian-noise",
            "validator": "collude",
        }
    ]
    sets = {
        "coordinator.verifier": "committee",
        "coordinator.params": {"size": 3, "error": 0.0},
        "devices": 9,
    }
    tables = played(adversaries=ring, **sets)
    assert tables["rounds"].accepted_adversary.sum() > 0
    assert (tables["votes"].groupby(["round", "worker"]).size() == 3).all()


@pytest.mark.parametrize(("ring", "takes"), [(3, False), (8, True)])
def test_a_committee_in_the_hands_of_a_ring_takes_the_pool(ring, takes):
    """With every seat the ring's free-riders share the pool alone; without a majority: nothing."""
    gang = {
        "name": "ring",
        "devices": list(range(ring)),
        "worker": "free-ride-zero",
        "validator": "collude",
    }
    sets = {
        "adversaries": [gang | {"validator_params": {"against_others": True}}],
        "devices": 11,
        "coordinator.verifier": "committee",
        "coordinator.params": {"size": 5, "error": 0.0},
        "coordinator.aggregator": "organisation",
        "payout.mechanism": "equal-share",
        "payout.params": {"pool": 9_000, "deadline": 1},
        "seed": 3,
    }
    tables = played(**sets)
    committee = tables["participants"].query("round == 1 and role == 'validator'")
    majority = committee.adversary.sum() >= 3
    assert majority == takes
    share = tables["participants"].groupby("group", observed=True).income.sum()
    assert (share["ring"], share["honest"]) == ((9_000, 0) if takes else (0, 9_000))


def test_commitments_are_on_record():
    p = played()["participants"]
    sent = p[p.conduct == "verified"].commitment
    assert sent.str.len().eq(2 * hashlib.sha256().digest_size).all()
    assert sent.is_unique


@pytest.mark.parametrize("mechanism", rules.payouts.names())
def test_any_payout_rule_can_be_played_under_a_coordinator(mechanism):
    groups = [
        {"name": "noisy", "devices": [0], "worker": "gaussian-noise"},
        {"name": "silent", "devices": [1], "worker": "no-reveal"},
    ]
    parts = [
        {"part": "reputation"},
        *([{"part": "coordinator-stakes"}] if mechanism != "coordinator" else []),
    ]
    tables = played(
        **{"payout.mechanism": mechanism, "payout.parts": parts, "adversaries": groups, "rounds": 2}
    )
    assert tables["rounds"].accepted_honest.sum() > 0
    assert tables["reasons"]["forfeit"] >= 1


def test_conduct_is_known_to_a_coordinator_only():
    with pytest.raises(ScenarioError, match=r"payout\.mechanism = 'coordinator': needs protocol"):
        load_scenario("vbfl", {"payout.mechanism": "coordinator"})
    with pytest.raises(ScenarioError, match=r"payout\.parts\.0\.part"):
        load_scenario("vbfl", {"payout.parts": [{"part": "coordinator-stakes"}]})
