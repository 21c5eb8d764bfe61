"""Asynchronous, hierarchical and vertical learning, each against a slow reference."""

import math

import numpy as np
import pytest

from experiments import ScenarioError, load_scenario
from sim.learning.job import TrainingJob
from sim.protocols.asynchronous.settings import MixingSettings
from sim.world import World

SMALL = {
    "rounds": 3,
    "devices": 6,
    "data.dataset": "synthetic",
    "data.params": {"train": 120, "test": 60, "features": 6, "classes": 3},
    "data.partition": "iid",
    "data.validation_fraction": 0.25,
    "model.name": "softmax",
    "training.epochs": 1,
    "training.learning_rate": 0.1,
    "payout.mechanism": "flat",
    "adversaries": [],
}
EDGES = {**SMALL, "edges.count": 2, "edges.rounds": 1}
VERTICAL = {key: value for key, value in SMALL.items() if key != "data.partition"}


def world(protocol, keys=SMALL, **changes):
    return World(load_scenario(protocol, {**keys, **changes}))


def played(protocol, keys=SMALL, **changes):
    there = world(protocol, keys, **changes)
    for _ in there.run():
        pass
    there.close()
    return {name: table.to_pandas() for name, table in there.kernel.tables().items()}


def present_model(there):
    game = there.protocol.game
    return game.bench.models[game.forks.head.model]


def retrained(game, device, start, round=1, step=0):
    """What a device makes of a model, trained once more with the streams of the run."""
    identity = (device, round, step) if step else (device, round)
    rng = game.streams.rng("training", *identity)
    order = np.stack([rng.permutation(game.bench.samples(device))])
    seed = game.streams.seed63("training.seed", *identity)
    return game.bench.engine.train([TrainingJob(start, order, seed)])[0].astype(np.float64)


# --- asynchronous ---------------------------------------------------------------------------


def test_weights_fall_with_staleness_as_published():
    polynomial = MixingSettings(exponent=0.5)
    assert [polynomial.weight(t) for t in (0, 3, 8)] == [1, 1 / 2, 1 / 3]
    hinge = MixingSettings(staleness="hinge", slope=10.0, grace=4)
    assert [hinge.weight(t) for t in (0, 4, 5, 6)] == [1, 1, 1 / 11, 1 / 21]
    assert MixingSettings(staleness="constant").weight(1000) == 1


def test_a_single_device_without_damping_is_federated_averaging():
    alone = {**SMALL, "devices": 1}
    both = [
        played("fedavg", alone)["participants"],
        played("asynchronous", alone, **{"mixing.step": 1.0})["participants"],
    ]
    assert both[0]["head"].tolist() == both[1]["head"].tolist(), "the same bytes, round by round"


@pytest.mark.parametrize("takes", ["model", "change"])
def test_a_buffer_of_fresh_updates_moves_the_model_part_of_the_way_to_their_mean(takes):
    mixing = {"mixing.buffer": 4, "mixing.step": 0.5, "mixing.takes": takes}
    there = world("asynchronous", **mixing)
    game = there.protocol.game
    start = present_model(there).astype(np.float64)
    there.step()
    people = there.kernel.table("participants").to_pandas()
    workers = people.loc[people.role == "worker", "device"].tolist()
    assert len(workers) == 4
    mean = np.mean([retrained(game, w, start.astype(np.float32)) for w in workers], axis=0)
    np.testing.assert_allclose(present_model(there), start + 0.5 * (mean - start), atol=1e-6)


@pytest.mark.parametrize("takes", ["model", "change"])
def test_a_stale_update_counts_less(takes):
    """Two devices from the same model: the second one arrives when there is a newer one."""
    there = world(
        "asynchronous",
        **{"devices": 2, "mixing.step": 0.5, "mixing.takes": takes, "mixing.exponent": 1.0},
        **{"network.compute": "lognormal", "seed": 3},
    )
    game = there.protocol.game
    first = present_model(there)
    there.step()
    present = present_model(there).astype(np.float64)
    slow = next(iter(there.protocol.under_way)).device
    # The fast one could come back first: let it wait.
    game.network.compute[1 - slow] *= 1e-6
    there.step()
    row = retrained(game, slow, first, round=2)
    began = present if takes == "model" else first.astype(np.float64)
    expected = present + 0.5 * (1 / 2) * (row - began)
    np.testing.assert_allclose(present_model(there), expected, atol=1e-6)
    assert there.kernel.table("rounds").to_pandas()["staleness"].tolist() == [0, 1]


def test_staleness_is_the_number_of_models_made_meanwhile():
    speeds = {"network.compute": "lognormal", "network.compute_sigma": 1.5}
    tables = played("asynchronous", rounds=25, **speeds)
    people = tables["participants"]
    sent = people[people.staleness.notna()]
    assert sent.staleness.max() > 3, "some are slow"
    for _, own in sent.groupby("device"):
        last = 0
        for now, staleness in zip(own["round"], own["staleness"], strict=True):
            assert staleness == now - 1 - last
            last = now


def test_nobody_waits_for_the_slow():
    speeds = {"network.compute": "lognormal", "network.compute_sigma": 1.5}
    fast = played("asynchronous", rounds=6, **speeds)["rounds"]
    slow = played("fedavg", rounds=6, **speeds)["rounds"]
    assert fast["end_s"].iloc[-1] < slow["end_s"].iloc[-1]


def test_updates_of_devices_that_went_offline_are_lost():
    outage = {"from_s": 0.01, "until_s": 1e6, "devices": [0]}
    slow = {"network.compute_samples_per_s": 100.0, "availability.outages": [outage]}
    tables = played("asynchronous", rounds=8, **slow)
    people = tables["participants"]
    assert people.loc[people.device == 0, "income"].eq(0).all()
    assert people.loc[people.device == 1, "income"].gt(0).any()


def test_a_buffer_larger_than_the_crowd_is_refused():
    with pytest.raises(ScenarioError, match=r"mixing.buffer = 7: at most 6"):
        world("asynchronous", **{"mixing.buffer": 7})


# --- hierarchical ---------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [1, 2])
def test_regions_average_then_the_server_averages_regions(rounds):
    there = world("hierarchical", EDGES, **{"edges.rounds": rounds, "data.partition": "quantity"})
    game = there.protocol.game
    start = present_model(there)
    there.step()
    edges = there.kernel.table("edges").to_pandas()
    models, weights = [], []
    for edge, region in zip(edges["edge"], edges["region"], strict=True):
        workers = [d for d in range(6) if d % 2 == region and d != edge]
        sizes = np.array([len(game.bench.samples(w)) for w in workers])
        model = start
        for step in range(rounds):
            rows = [retrained(game, w, model.astype(np.float32), step=step) for w in workers]
            model = np.average(rows, axis=0, weights=sizes)
        models.append(model)
        weights.append(sizes.sum())
    expected = np.average(models, axis=0, weights=weights)
    np.testing.assert_allclose(present_model(there), expected, atol=1e-6)


def test_edges_are_paid_for_each_update_that_they_deliver():
    tables = played("hierarchical", {**EDGES, "edges.fee": 7, "edges.count": 3})
    edges, journal = tables["edges"], tables["journal"]
    assert edges["delivered"].all()
    assert (edges["fee"] == 7 * edges["updates"]).all()
    paid = journal[journal.reason == "edge"]
    assert paid["amount"].sum() == edges["fee"].sum() > 0
    roles = tables["participants"].groupby("round")["role"].value_counts().unstack()
    assert roles["miner"].eq(3).all()


def test_an_edge_that_withholds_costs_its_region_the_round():
    bad = [{"name": "bad", "devices": [0, 2, 4], "miner": "withhold"}]
    tables = played("hierarchical", EDGES, adversaries=bad)
    edges = tables["edges"].set_index(["round", "region"])["delivered"]
    assert not edges.xs(0, level="region").any(), "region 0 consists of them"
    assert edges.xs(1, level="region").all()
    people = tables["participants"]
    assert people.loc[people.device % 2 == 0, "income"].eq(0).all()
    assert set(tables["incidents"]["kind"]) == {"absent-aggregator"}


def test_an_edge_can_leave_workers_out():
    bad = [{"name": "bad", "devices": [0, 2, 4], "miner": "censor"}]
    bad[0]["miner_params"] = {"devices": [0]}
    people = played("hierarchical", EDGES, adversaries=bad, rounds=4)["participants"]
    worked = people[people.role == "worker"]
    assert worked.loc[worked.device == 0, "accepted"].ne(True).all()
    assert worked.loc[worked.device != 0, "accepted"].eq(True).all()


def test_late_updates_and_late_edges_do_not_count():
    slow = {"network.compute_samples_per_s": 100.0}
    waits = played("hierarchical", EDGES, **slow)["rounds"]
    assert waits["accepted_honest"].eq(4).all()
    hasty = played("hierarchical", EDGES, **slow, **{"deadlines.edge_s": 0.01})
    assert hasty["rounds"]["accepted_honest"].eq(0).all()
    late = played("hierarchical", EDGES, **slow, **{"deadlines.server_s": 0.01})
    assert late["rounds"]["accepted_honest"].eq(0).all()
    assert late["rounds"]["duration_s"].to_numpy() == pytest.approx([0.01] * 3)


def test_a_region_needs_two_devices():
    with pytest.raises(ScenarioError, match=r"edges.count = 4: at most 3"):
        world("hierarchical", EDGES, **{"edges.count": 4})


# --- vertical -------------------------------------------------------------------------------


def softmax_gradient(logits, labels):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = shifted / shifted.sum(axis=1, keepdims=True)
    shares[np.arange(len(labels)), labels] -= 1
    return shares / len(labels)


def split_training(game, start, hidden, absent=None):
    """Train one round by messages: parties send sums of their features, gradients come back.

    Each party holds its own columns of the first layer and of the samples, and nothing else.
    """
    bench, layout = game.bench, game.bench.engine.layout
    parts = {s.name: start[s.start : s.stop].reshape(s.shape).astype(np.float64) for s in layout}
    names = [s.name for s in layout]
    weights = [parts[names[0]][:, f].copy() for f in bench.features]
    bias, rest = parts[names[1]], [parts[name] for name in names[2:]]
    pool = bench.split.train[0]
    order = game.streams.rng("training", 1).permutation(pool)
    x = bench.dataset.x_train.reshape(len(bench.dataset.x_train), -1).astype(np.float64)
    if absent is not None:
        x[:, bench.features[absent]] = 0
    y, rate, size = bench.dataset.y_train, 0.1, game.scenario.training.batch_size
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        own = [x[rows][:, features] for features in bench.features]
        first = sum(part @ w.T for part, w in zip(own, weights, strict=True)) + bias
        if hidden:
            out = np.maximum(first, 0)
            gradient = softmax_gradient(out @ rest[0].T + rest[1], y[rows])
            back = (gradient @ rest[0]) * (first > 0)
            rest = [rest[0] - rate * gradient.T @ out, rest[1] - rate * gradient.sum(axis=0)]
        else:
            back = softmax_gradient(first, y[rows])
        bias = bias - rate * back.sum(axis=0)
        weights = [w - rate * back.T @ part for w, part in zip(weights, own, strict=True)]
    whole = parts[names[0]]
    for features, w in zip(bench.features, weights, strict=True):
        whole[:, features] = w
    return np.concatenate([part.ravel() for part in (whole, bias, *rest)])


@pytest.mark.parametrize("dealt", ["in order", "shuffled"])
@pytest.mark.parametrize("hidden", [(), (5,)])
def test_parties_train_as_if_they_exchanged_messages(hidden, dealt):
    model = {"model.name": "mlp", "model.params": {"hidden": hidden}} if hidden else {}
    there = world("vertical", VERTICAL, devices=4, **model, **{"features.dealt": dealt})
    start = present_model(there)
    there.step()
    expected = split_training(there.protocol.game, start, hidden)
    np.testing.assert_allclose(present_model(there), expected, atol=1e-5)


def test_every_parameter_has_one_owner():
    own = world("vertical", VERTICAL, devices=4).protocol.game.bench.own
    assert (own.sum(axis=0) == 1).all()
    assert own.any(axis=1).all()


def test_a_party_can_spoil_its_own_part_alone():
    honest, spoiled = (
        world("vertical", VERTICAL, devices=3, adversaries=groups)
        for groups in ([], [{"name": "bad", "devices": [1], "worker": "sign-flip"}])
    )
    start = present_model(honest)
    honest.step()
    spoiled.step()
    own = honest.protocol.game.bench.own[1]
    good, bad = present_model(honest), present_model(spoiled)
    assert (good[~own] == bad[~own]).all()
    assert (good[own] != start[own]).any()
    assert (bad[own] != good[own]).any()


def test_an_absent_party_keeps_its_weights_and_counts_as_zeros():
    out = {"from_s": 0.0, "until_s": 1e6, "devices": [2]}
    there = world("vertical", VERTICAL, devices=3, **{"availability.outages": [out]})
    bench, start = there.protocol.game.bench, present_model(there)
    there.step()
    trained, own = present_model(there), bench.own
    assert (trained[own[2]] == start[own[2]]).all()
    silenced = np.where(own[2], np.float32(0), start)
    expected = split_training(there.protocol.game, silenced, (), absent=2)
    np.testing.assert_allclose(trained[~own[2]], expected[~own[2]], atol=1e-5)


def test_nobody_trains_without_the_labels():
    out = {"from_s": 0.0, "until_s": 1e6, "devices": [0]}
    there = world("vertical", VERTICAL, devices=3, **{"availability.outages": [out]})
    start = present_model(there)
    there.step()
    assert present_model(there) is start
    tables = {"rounds": there.kernel.table("rounds").to_pandas()}
    assert tables["rounds"]["accepted_honest"].eq(0).all()


def test_a_lazy_party_rests_while_the_others_train():
    lazy = [{"name": "lazy", "devices": [1], "worker": "free-ride-zero"}]
    there = world("vertical", VERTICAL, devices=3, adversaries=lazy)
    start = present_model(there)
    there.step()
    own = there.protocol.game.bench.own
    assert (present_model(there)[own[1]] == start[own[1]]).all()
    assert (present_model(there)[own[0]] != start[own[0]]).any()


def test_coalitions_are_worth_the_accuracy_of_their_parts():
    there = world("vertical", VERTICAL, devices=3)
    game, start = there.protocol.game, present_model(there)
    there.step()
    bench, end = game.bench, present_model(there)
    rows = np.stack([np.where(own, end, start) for own in bench.own])
    worth = bench.utility(rows, start, [0, 1, 2])
    x, y = bench.utility_samples
    members = np.array([[False] * 3, [True] * 3, [True, False, True]])
    mixed = np.where(bench.own[1], start, end)
    expected = bench.engine.evaluate([start, end, mixed], x, y).accuracy
    assert worth(members).tolist() == expected.tolist()


def test_a_batch_takes_as_long_as_its_slowest_party():
    keys = {**VERTICAL, "network.latency_s": 0.5}
    rounds = played("vertical", keys, devices=3)["rounds"]
    batches = math.ceil(90 / 10)
    sending = 2 * (batches * 0.5 + 90 * 3 * 4 / 70_000)
    computing = 90 / 1000 / 3
    assert rounds["duration_s"].to_numpy() == pytest.approx([sending + computing] * 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.partition": "iid"}, "data.partition"),
        ({"aggregation.rule": "median"}, "aggregation.rule"),
        ({"record.tape": True}, "record.tape"),
        (
            {"adversaries": [{"name": "bad", "count": 1, "worker": "label-flip"}]},
            "adversaries.0.worker = 'label-flip': changes whole samples",
        ),
        (
            {"adversaries": [{"name": "bad", "count": 2, "identities": "split"}]},
            "adversaries.0.identities",
        ),
    ],
)
def test_what_cannot_act_in_a_vertical_game_is_refused(changes, message):
    with pytest.raises(ScenarioError, match=message):
        world("vertical", VERTICAL, **changes)


def test_a_vertical_game_needs_a_linear_first_layer_and_a_feature_for_each():
    with pytest.raises(Exception, match=r"devices = 7: at most 6"):
        world("vertical", VERTICAL, devices=7)
    images = {**VERTICAL, "data.dataset": "digits", "data.params": {}, "model.name": "mnist_cnn"}
    with pytest.raises(Exception, match=r"first layer is linear|cannot take"):
        world("vertical", images)
