"""Both protocols of the VBFL paper against a plain replica of the authors' rounds."""

import numpy as np
import pytest
from torch import nn

from benchmarks.vbfl_replica import play_both, replica_of
from sim.world import World

KEYS = {
    "rounds": 8,
    "data__partition": "shards",
    "data__validation_fraction": 0.0,
    "training__epochs": 2,
    "adversaries__0__count": 2,
}


def final(world):
    """Return the global model of a world."""
    game = world.protocol.game
    return game.bench.models[game.forks[0].model]


CASES = [("vbfl-published", 0.08), ("vbfl-published", 1.0), ("fedavg", 1.0)]


@pytest.mark.parametrize(("preset", "threshold"), CASES)
def test_same_draws_give_the_same_models_and_votes(tiny, preset, threshold):
    """Shards, first weights, batches, roles and noise are given: weights agree to 1e-6."""
    keys, more = dict(KEYS), {}
    if preset == "vbfl-published":
        keys["validation__params__threshold"] = threshold
        keys["blocklist__knock_out_rounds"] = more["knock_out_rounds"] = 2
    world = World(tiny(preset, **keys))
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 3))
    replica = replica_of(world, net, threshold=threshold, **more)
    for row in play_both(world, replica):
        assert row["differ"] == 0
        assert row["fedstake"] == pytest.approx(row["replica"], abs=1e-6)
    assert np.abs(final(world) - replica.model.numpy()).max() < 1e-6
    if preset == "vbfl-published":
        assert bool(replica.rejected) == bool(replica.blocked) == (threshold < 1)
