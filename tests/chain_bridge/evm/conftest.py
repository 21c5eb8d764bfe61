"""Recorded runs of every kind that a contract plays."""

import pytest

from chain_bridge.evm.adapters import tables
from chain_bridge.evm.witness import rehearse
from chain_bridge.recording import read

ATTACKERS = [
    {"name": "forgers", "count": 1, "worker": "forge"},
    {"name": "repeaters", "count": 1, "worker": "replay"},
    {"name": "doublers", "count": 1, "worker": "duplicate"},
    {"name": "switchers", "count": 1, "worker": "switch-reveal"},
    {"name": "silent", "count": 1, "worker": "no-reveal"},
    {"name": "grievers", "count": 2, "miner": "grief", "worker": "gaussian-noise"},
    {"name": "tamperers", "count": 2, "miner": "tamper", "validator": "flip"},
    {"name": "withholders", "count": 1, "miner": "withhold"},
]
ODD = {
    "slash": 0.37,
    "forfeit": 0.9,
    "absence": 0.3,
    "challenger_share": 0.61,
    "stake": 999_999,
    "pot": 1_000_003,
}
"""Parameters under which every part is rounded."""
COORDINATED = {"preset": "coordinator", "devices": 14, "rounds": 8, "adversaries": ATTACKERS}
ABSENT = {"availability__kind": "per-round", "availability__online": 0.65}
SLOW = {
    "coordinator__submission_s": 0.2,
    "coordinator__reveal_s": 0.15,
    "network__compute": "lognormal",
    "network__compute_sigma": 1.5,
    "network__link": "lognormal",
    "network__link_sigma": 1.5,
}
FEDAVG = {"preset": "fedavg", "rounds": 6, **ABSENT, "payout__initial_balance": 60}
MARKET = {
    "preset": "sum-digits",
    "devices": 3,
    "rounds": 4,
    "data": {
        "dataset": "synthetic",
        "params": {"train": 140, "test": 60, "features": 6, "classes": 2, "separation": 2.0},
        "initial": 20,
    },
    "market__model": "perceptron",
    "record__trace": True,
    "record__features": True,
}
TEXTS = {
    "dataset": "imdb-like",
    "params": {"train": 140, "test": 60, "features": 40, "words": 8.0},
    "initial": 20,
}
RUNS = {
    "coordinator": COORDINATED | {"payout__params": ODD, "coordinator__watch": 0.5},
    "coordinator, reporters": COORDINATED
    | {
        "payout__params": ODD | {"destination": "reporters", "by": "samples", "minimum": 900_000},
        "data__partition": "dirichlet",
    },
    "coordinator, devices come and go": COORDINATED
    | ABSENT
    | {
        "payout__params": ODD | {"destination": "treasury"},
        "coordinator__aggregator": "fixed",
        "coordinator__aggregator_device": 3,
    },
    "coordinator, late": COORDINATED | SLOW,
    "coordinator, poor": COORDINATED
    | {
        "payout__initial_balance": 2_500_000,
        "payout__params": {"bond": 1_500_000, "slash": 1.0},
    },
    "coordinator, no stakes": COORDINATED
    | {"payout__params": {"stake": 0, "bond": 0, "challenge_deposit": 0}},
    "poc": {
        "preset": "poc",
        "poc__missing": 0.2,
        "poc__mistaken": 0.2,
        "data__validation_fraction": 0.0,
    },
    "poc, withheld": {
        "preset": "poc",
        "poc__server": "withholding",
        "data__validation_fraction": 0.0,
        "payout__params": {"pool": 1_000_003, "stake": 777, "deadline": 2, "fee": 0.013},
    },
    "equal-share": FEDAVG
    | {
        "payout__mechanism": "equal-share",
        "payout__params": {"pool": 100_001, "stake": 50, "deadline": 4},
    },
    "decentralml": FEDAVG
    | {
        "payout__mechanism": "decentralml",
        "payout__params": {
            "improve_only": False,
            "score": 0.037,
            "engineers": 0.2,
            "annotators": 0.1,
            "contributors": 0.7,
        },
    },
    "decentralml, snapshot": FEDAVG
    | {
        "payout__mechanism": "decentralml",
        "payout__params": {
            "improve_only": False,
            "score": 0.17,
            "mode": "snapshot",
            "expires": 4,
            "whitelist": [1, 3, 4, 6],
        },
    },
    "stake-weighted": FEDAVG
    | {"payout__mechanism": "stake-weighted", "payout__params": {"pot": 10_007}},
    "market, dense": MARKET,
    "market, sparse": MARKET | {"data": TEXTS},
    "market, chain's formula": MARKET
    | {
        "market__params": {
            "formula": "chain",
            "cost_weight": 0.037,
            "refund_wait_s": 2_000.0,
            "sweep_wait_s": 9_000.0,
            "clock": "contributor",
        }
    },
    "points": MARKET | {"market__rule": "points", "market__params": {"refund_wait_s": 3_000.0}},
}


@pytest.fixture(scope="session")
def played(recorded, evm_programs):
    """Record a run of `RUNS` once, the same whoever asks first, and return its folder."""
    folders = {}

    def record(name):
        if name not in folders:
            folders[name] = recorded(seed=0, **RUNS[name])
        return folders[name]

    return record


@pytest.fixture(scope="session")
def rehearsed(played):
    """Play a run of `RUNS` on its contract once; what is found is not to be changed."""
    found = {}

    def play(name):
        if name not in found:
            found[name] = rehearse(read(played(name), tables()))
        return found[name]

    return play
