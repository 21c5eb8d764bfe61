"""Golden journals: any change of meaning is a visible difference. `python -m tests.test_golden` writes them anew.

The scenarios accept every update, so that no rounding of a processor can change a vote.
"""

import json
from pathlib import Path

import pytest

from experiments import load_scenario
from sim.world import World
from tests.conftest import TINY

FOLDER = Path(__file__).parent / "golden"
OPEN = {"validation.params": {"threshold": 1.0}}
SCENARIOS = {
    "vbfl-pos": ("vbfl", {**OPEN}),
    "vbfl-pow-forks": (
        "vbfl",
        {**OPEN, "consensus.kind": "pow", "consensus.difficulty": 1, "network.link_bytes_per_s": 2_000.0, "rounds": 4},
    ),
    "vbfl-published": ("vbfl-published", {**OPEN, "rounds": 4}),
    "vbfl-churn": ("vbfl", {**OPEN, "availability.kind": "per-round", "availability.online": 0.7, "rounds": 5}),
    "vbfl-committee": ("vbfl", {**OPEN, "validation.committee": 1, "payout.initial_balance": 50}),
    "vbfl-lying-validators": (
        "vbfl",
        {**OPEN, "adversaries.0.count": 5, "adversaries.0.worker": "honest", "adversaries.0.validator": "flip"},
    ),
    "vbfl-mute-miners": (
        "vbfl",
        {**OPEN, "adversaries.0.count": 3, "adversaries.0.worker": "honest", "adversaries.0.miner": "withhold", "rounds": 5},
    ),
    "fedavg-paid": ("fedavg", {**OPEN, "payout.mechanism": "vbfl"}),
}


def journal(name: str) -> list[list[object]]:
    preset, changes = SCENARIOS[name]
    world = World(load_scenario(preset, {**TINY, **changes}))
    for _ in world.run():
        pass
    world.close()
    return [[round(e.time_s, 6), *e[1:]] for e in world.ledger.journal]


@pytest.mark.parametrize("name", SCENARIOS)
def test_journal(name):
    assert journal(name) == json.loads((FOLDER / f"{name}.json").read_text())


if __name__ == "__main__":
    for each in SCENARIOS:
        lines = ",\n".join(json.dumps(entry) for entry in journal(each))
        (FOLDER / f"{each}.json").write_text(f"[\n{lines}\n]\n")
