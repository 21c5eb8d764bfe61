import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.loader import (
    ScenarioError,
    dumps,
    load_scenario,
    parse_override,
    preset_names,
    validate,
)
from mechanisms.vocabulary import Payment
from sim.scenario import Scenario


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_complete_and_survive_a_round_trip(name, tmp_path):
    scenario = load_scenario(name)
    assert scenario.name == name
    path = tmp_path / "copy.toml"
    path.write_text(dumps(scenario))
    assert load_scenario(path) == scenario
    assert load_scenario(path).run_id() == scenario.run_id()
    assert set(scenario.to_dict()) == set(type(scenario).model_fields) > set(Scenario.model_fields)


def test_shipped_presets():
    assert {"vbfl", "vbfl-published", "fedavg", "digits-quick"} <= set(preset_names())


def test_published_differs_from_intended_in_named_switches_only():
    intended, published = load_scenario("vbfl").to_dict(), load_scenario("vbfl-published").to_dict()
    changed = {
        f"{table}.{key}"
        for table, values in published.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if intended[table][key] != value
    }
    assert changed == {
        "data.validation_source", "data.validation_holding", "data.validation_fraction",
        "consensus.tie_rule",
        "chain.check_signatures", "chain.check_links", "chain.resync", "chain.live_model_alias",
        "blocklist.in_a_row", "blocklist.clock", "blocklist.holds_roles",
        "network.message_size", "network.validator_queue",
    }  # fmt: skip


def test_canonical_form_is_the_identity(tmp_path):
    written = tmp_path / "a.toml"
    written.write_text('extends = "digits-quick"\n[training]\nlearning_rate = 1\nepochs = 5\n')
    other = tmp_path / "b.toml"
    other.write_text(
        'extends = "digits-quick"\nname = "a"\ntraining = { epochs = 5, learning_rate = 1.0 }\n'
    )
    assert load_scenario(written) == load_scenario(other)
    assert load_scenario(written).run_id() == load_scenario(other).run_id()
    assert load_scenario(written, {"seed": 1}).run_id() != load_scenario(other).run_id()


@given(st.floats(0.001, 10), st.integers(0, 2**63 - 1), st.sampled_from([math.inf, 12.5]))
def test_toml_round_trip_of_any_values(rate, seed, deadline):
    import tomllib

    scenario = load_scenario(
        "vbfl", {"training.learning_rate": rate, "seed": seed, "deadlines.miner_s": deadline}
    )
    assert validate(tomllib.loads(dumps(scenario)), "x") == scenario


def test_equal_parameters_are_equal_scenarios_however_they_are_written():
    spelt = load_scenario(
        "digits-quick", {"payout.params": {}, "adversaries.0.worker_params": {"scale": 1}}
    )
    assert spelt == load_scenario("digits-quick")
    assert spelt.run_id() == load_scenario("digits-quick").run_id()
    assert load_scenario("digits-quick").adversaries[0].worker_params == {
        "scale": 1.0,
        "biases": False,
    }


def test_naming_the_same_rule_again_keeps_its_parameters_and_another_drops_them():
    base = load_scenario("digits-quick", {"validation.params.threshold": 0.3})
    assert base.replace(**{"validation.rule": "threshold"}) == base
    same = load_scenario(
        "digits-quick", {"validation.params.threshold": 0.3, "validation.rule": "threshold"}
    )
    assert same.validation.params["threshold"] == 0.3
    assert base.replace(**{"payout.mechanism": "none"}).payout.params == {}


def test_a_table_is_merged_key_by_key_and_a_selector_goes_first():
    merged = load_scenario("digits-quick", {"training": {"epochs": 2}})
    assert (merged.training.epochs, merged.training.learning_rate) == (2, 0.1)
    assert load_scenario("digits-quick", dict([parse_override("training={epochs=2}")])) == merged
    either = [
        {"payout.params": {"worker": 7}, "payout.mechanism": "flat"},
        {"payout.mechanism": "flat", "payout.params.worker": 7},
    ]
    assert {load_scenario("digits-quick", o).payout.params["worker"] for o in either} == {7}


def test_plug_ins_lie_beside_the_scenario_and_their_place_does_not_matter(tmp_path, monkeypatch):
    source = (Path(__file__).parents[1] / "plugins" / "generous.py").read_text()
    ids = set()
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rule.py").write_text(source)
        (tmp_path / folder / "s.toml").write_text(
            'extends = "digits-quick"\nname = "digits-quick"\n'
            '[payout]\nmechanism = "rule.py:Generous"\n'
        )
        ids.add(load_scenario(tmp_path / folder / "s.toml").run_id())
    assert len(ids) == 1
    monkeypatch.chdir(tmp_path / "here")
    assert load_scenario("digits-quick", {"payout.mechanism": "rule.py:Generous"}).run_id() in ids
    (tmp_path / "there" / "rule.py").write_text(source + "# edited")
    assert load_scenario(tmp_path / "there" / "s.toml").run_id() not in ids


def test_an_unfinished_plug_in_is_refused_at_once(tmp_path):
    path = tmp_path / "rule.py"
    path.write_text(
        "from mechanisms.payouts.base import PayoutRule\n"
        "class Rule(PayoutRule):\n    name = 'rule'\n"
    )
    with pytest.raises(ScenarioError, match="does not define settle"):
        load_scenario("digits-quick", {"payout.mechanism": f"{path}:Rule"})


def test_extending_a_neighbour_and_circles(tmp_path):
    (tmp_path / "base.toml").write_text('extends = "digits-quick"\nrounds = 7\n')
    (tmp_path / "top.toml").write_text('extends = "base.toml"\nseed = 3\n')
    scenario = load_scenario(tmp_path / "top.toml")
    assert (scenario.rounds, scenario.seed, scenario.data.dataset) == (7, 3, "digits")
    (tmp_path / "base.toml").write_text('extends = "top.toml"\n')
    with pytest.raises(ScenarioError, match="circle"):
        load_scenario(tmp_path / "top.toml")
    (tmp_path / "top.toml").write_text(f'extends = "../{tmp_path.name}/top.toml"\n')
    with pytest.raises(ScenarioError, match="circle"):
        load_scenario(tmp_path / "top.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=2", ("a.b", 2)),
        ("a=2.5", ("a", 2.5)),
        ("a=true", ("a", True)),
        ("a=word", ("a", "word")),
        ('a="2"', ("a", "2")),
        ("a=[1, 2]", ("a", [1, 2])),
        ("roles.params.counts=12,5,3", ("roles.params.counts", "12,5,3")),
    ],
)
def test_override_syntax(text, expected):
    assert parse_override(text) == expected


SECURE = {"privacy.secure_aggregation": True, "validation.rule": "accept-all"}
BAD = [
    # what is set, what the one line must name
    ({"training.lerning_rate": 0.1}, ["training.lerning_rate", "learning_rate"]),
    ({"trainign.epochs": 1}, ["trainign", "training"]),
    ({"rounds": 0}, ["rounds = 0", "must be >= 1"]),
    ({"rounds": 2.5}, ["rounds = 2.5", "whole number"]),
    ({"rounds": "ten"}, ["rounds = 'ten'", "whole number"]),
    ({"devices": -3}, ["devices = -3"]),
    ({"devices": 19}, ["devices = 19", "at least 20"]),
    ({"seed": -1}, ["seed = -1"]),
    ({"payout.initial_balance": -5}, ["payout.initial_balance = -5", "must be >= 0"]),
    ({"payout.initial_balance": 2**63}, ["payout.initial_balance", "must be <"]),
    ({"payout.initial_balance": 1.5}, ["payout.initial_balance = 1.5", "whole number"]),
    ({"payout.params.unit_reward": -1}, ["payout.params.unit_reward = -1", ">= 0"]),
    ({"payout.mechanism": "vfbl"}, ["payout.mechanism = 'vfbl'", "did you mean 'vbfl'"]),
    ({"roles.params.counts": "12,0,3"}, ["roles.params.counts = '12,0,3'", "at least 1"]),
    ({"roles.params.counts": "12,5"}, ["roles.params.counts", "12,5,3"]),
    ({"training.learning_rate": math.nan}, ["training.learning_rate = nan"]),
    ({"training.learning_rate": math.inf}, ["training.learning_rate = inf"]),
    ({"training.learning_rate": 0}, ["training.learning_rate = 0", "must be > 0"]),
    ({"training.batch_size": 0}, ["training.batch_size = 0"]),
    ({"data.partition": "shard"}, ["data.partition = 'shard'", "shards"]),
    ({"data.dataset": "mnits"}, ["data.dataset = 'mnits'", "mnist"]),
    ({"data.validation_fraction": 0.9}, ["data.validation_fraction = 0.9", "0.5"]),
    ({"data.validation_fraction": 0.0}, ["data.validation_fraction = 0.0", "samples"]),
    ({"validation.params.threshold": 8}, ["validation.params.threshold = 8.0", "<= 1"]),
    ({"validation.committee": 6}, ["validation.committee = 6", "at most 5"]),
    ({"consensus.kind": "poa"}, ["consensus.kind = 'poa'", "pos"]),
    ({"consensus.difficulty": 99}, ["consensus.difficulty = 99"]),
    ({"deadlines.miner_s": math.nan}, ["deadlines.miner_s = nan"]),
    ({"deadlines.miner_s": -1.0}, ["deadlines.miner_s = -1.0"]),
    ({"availability.online": 1.1}, ["availability.online = 1.1"]),
    ({"adversaries.0.count": 21}, ["adversaries.0.count = 21", "20 devices"]),
    (
        {"adversaries.0.count": 2, "adversaries.0.devices": [1]},
        ["adversaries.0.count = 2", "not both"],
    ),
    (
        {"adversaries.0.count": 0, "adversaries.0.devices": [25]},
        ["adversaries.0.devices = 25", "0..19"],
    ),
    ({"adversaries.0.worker": "gaussian"}, ["adversaries.0.worker = 'gaussian'", "gaussian-noise"]),
    (
        {"adversaries.0.worker_params.scale": -1.0},
        ["adversaries.0.worker_params.scale = -1.0", ">= 0"],
    ),
    ({"adversaries.3.count": 1}, ["adversaries.3.count", "no entry '3'"]),
    ({"network.topology": "edges"}, ["network.edges", "list of pairs"]),
    ({"network.topology": "random-regular", "network.degree": 20}, ["network.degree = 20"]),
    ({"chain.check_links": "yes"}, ["chain.check_links = 'yes'", "true or false"]),
    ({"name": "../evil"}, ["name = '../evil'"]),
    ({"rounds.x": 1}, ["rounds.x", "not a table"]),
    ({"adversaries.\u00b2.count": 1}, ["no entry"]),
    ({"adversaries.0.name": "honest"}, ["adversaries.0.name = 'honest'"]),
    (
        {"adversaries.0.from_round": 5, "adversaries.0.until_round": 3},
        ["adversaries.0.until_round = 3", "at least from_round = 5"],
    ),
    ({"costs.compute_per_s": -1.0}, ["costs.compute_per_s = -1.0"]),
    (
        {"payout.mechanism": "decentralml", "payout.params.engineers": 0.5},
        ["payout.params.contributors = 1.0", "must be 1"],
    ),
    (
        {"payout.mechanism": "slashed-vbfl", "payout.params.stake": -5},
        ["payout.params.stake = -5", ">= 0"],
    ),
    (
        {"payout.mechanism": "equal-share", "payout.params.deadline": 0},
        ["payout.params.deadline = 0", ">= 1"],
    ),
    ({"adversaries.0.name": ""}, ["adversaries.0.name = ''"]),
    ({"adversaries": [{"name": "a"}, {"name": "a"}]}, ["adversaries.1.name = 'a'", "of its own"]),
    (
        {"adversaries.0.worker_params.scale": math.inf},
        ["adversaries.0.worker_params.scale = inf", "finite"],
    ),
    ({"payout.initial_balance": 2**62}, ["payout.initial_balance", "20 devices", "int64"]),
    ({"payout.params.unit_reward": 10**18}, ["payout.params.unit_reward", "<= 1e+12"]),
    ({"training.learning_rate": 1e39}, ["training.learning_rate = 1e+39", "1000"]),
    ({"data.alpha": 1e-300}, ["data.alpha = 1e-300", "0.001"]),
    ({"network.link_sigma": 1e6}, ["network.link_sigma = 1000000.0", "5"]),
    ({"network.compute_sigma": 50.0}, ["network.compute_sigma = 50.0", "5"]),
    ({"network.link_bytes_per_s": 1e-300}, ["network.link_bytes_per_s = 1e-300", "1"]),
    ({"network.topology": "small-world", "network.degree": 3}, ["network.degree = 3", "even"]),
    (
        {"network.topology": "edges", "network.edges": [[0, 1.0]]},
        ["network.edges.0.1 = 1.0", "whole number"],
    ),
    ({"availability.mean_online_s": 1e-9}, ["availability.mean_online_s = 1e-09", "1"]),
    ({"versions.publishers": [3, 20]}, ["versions.publishers = 20", "0..19"]),
    ({"versions.publishers": [3, 3]}, ["versions.publishers = [3, 3]", "twice"]),
    ({"versions.publishers": [-1]}, ["versions.publishers.0 = -1"]),
    (
        {"versions.publishers": [3], "protocol": "fedavg"},
        ["versions.publishers = [3]", "no key of fedavg", "vbfl"],
    ),
    ({"versions.rollback_drop": 1.5}, ["versions.rollback_drop = 1.5", "must be <= 1"]),
    (
        {"versions.rollback_drop": 0.1, "data.validation_source": "test"},
        ["versions.rollback_drop = 0.1", "held-out samples"],
    ),
    ({"versions.keep": 0}, ["versions.keep = 0"]),
    ({"versions.record": "yes"}, ["versions.record = 'yes'", "true or false"]),
    ({"storage.kind": "ipfs"}, ["storage.kind = 'ipfs'", "off-chain"]),
    (
        {"storage.kind": "off-chain", "protocol": "fedavg"},
        ["storage.kind = 'off-chain'", "no key of fedavg", "vbfl"],
    ),
    ({"storage.availability": 1.5}, ["storage.availability = 1.5", "must be <= 1"]),
    ({"storage.bytes_per_s": 0.0}, ["storage.bytes_per_s = 0.0"]),
    ({"storage.latency_s": math.inf}, ["storage.latency_s = inf"]),
    ({"storage.cost_per_mb": -1.0}, ["storage.cost_per_mb = -1.0"]),
    ({"privacy.noise": 1.0}, ["privacy.noise = 1.0", "privacy.clip", "above 0"]),
    ({"privacy.noise": 1e-9, "privacy.clip": 1.0}, ["privacy.noise = 1e-09", "at least 0.001"]),
    ({"privacy.delta": 0.0}, ["privacy.delta = 0.0", "must be > 0"]),
    ({"privacy.delta": 1.0}, ["privacy.delta = 1.0", "must be < 1"]),
    ({"privacy.clip": -1.0}, ["privacy.clip = -1.0", "must be >= 0"]),
    (
        {"privacy.secure_aggregation": True},
        ["validation.rule = 'threshold'", "privacy.secure_aggregation", "accept-all"],
    ),
    (
        {**SECURE, "validation.rule": "distance"},
        ["validation.rule = 'distance'", "judges single updates"],
    ),
    (
        {**SECURE, "payout.mechanism": "cosine"},
        ["payout.mechanism = 'cosine'", "observes updates", "hides"],
    ),
    (
        {**SECURE, "payout.mechanism": "shapley"},
        ["payout.mechanism = 'shapley'", "observes utility"],
    ),
    (
        {**SECURE, "aggregation.rule": "krum"},
        ["aggregation.rule = 'krum'", "single updates", "mean"],
    ),
    (
        {**SECURE, "aggregation.before": [{"rule": "norm-clipping"}]},
        ["aggregation.before.0.rule = 'norm-clipping'", "single updates"],
    ),
    (
        {**SECURE, "adversaries.0.worker": "alie"},
        ["adversaries.0.worker = 'alie'", "updates of others"],
    ),
    (
        {**SECURE, "adversaries.0.miner": "tamper"},
        ["adversaries.0.miner = 'tamper'", "single updates"],
    ),
]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    BAD,
    ids=[next(iter(o)) + "=" + str(list(o.values())[-1]) for o, _ in BAD],
)
def test_bad_scenarios_are_refused_in_one_line(overrides, parts):
    with pytest.raises(ScenarioError) as caught:
        load_scenario("digits-quick", overrides)
    line = str(caught.value)
    assert line.startswith("digits-quick: ")
    assert "\n" not in line
    assert len(line) < 250
    for part in parts:
        assert part in line, line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rounds = \n", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"extends = 3\n", "must be the name"),
        (b'extends = "digits-quik"\n', "did you mean 'digits-quick'"),
        (b"devices = 3\n", "at least"),
        (b"a = " + b"[" * 5_000 + b"]" * 5_000, "is not TOML"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "bad.toml"
    path.write_bytes(content if b"devices" not in content else b'extends = "vbfl"\n' + content)
    with pytest.raises(ScenarioError, match=message):
        load_scenario(path)


def test_absent_files_and_folders(tmp_path):
    with pytest.raises(ScenarioError, match="did you mean 'digits-quick'"):
        load_scenario("digit-quick")
    with pytest.raises(ScenarioError, match="no such file"):
        load_scenario("~nobody-of-this-name/x.toml")
    with pytest.raises(ScenarioError, match="is a folder"):
        load_scenario(tmp_path)


@pytest.mark.parametrize(
    ("preset", "key", "value", "others"),
    [
        ("fedavg", "consensus.kind", "pow", ["vbfl"]),
        ("fedavg", "chain.resync", "off", ["vbfl"]),
        ("fedavg", "blocklist.lazy_rounds", 3, ["vbfl"]),
        ("fedavg", "coordinator.watch", 0.9, ["coordinator"]),
        ("fedavg", "validation.rule", "accept-all", ["vbfl"]),
        ("fedavg", "storage.bytes_per_s", 5.0, ["vbfl"]),
        ("fedavg", "network.topology", "ring", ["vbfl"]),
        ("fedavg", "adversaries.0.validator", "flip", ["vbfl", "coordinator"]),
        ("coordinator", "roles.rule", "uniform", ["vbfl"]),
        ("coordinator", "deadlines.validator_s", 9.0, ["fedavg", "vbfl"]),
        ("vbfl", "coordinator.verifier", "oracle", ["coordinator"]),
    ],
)
def test_a_key_that_is_not_in_force_is_refused(preset, key, value, others):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(preset, {key: value})
    line = str(caught.value)
    assert f"{key} = {value!r}" in line
    assert f"no key of {preset}" in line
    assert all(name in line for name in others)
    assert "\n" not in line


def test_keys_of_another_protocol_are_no_part_of_a_run():
    """Another default of a foreign key can never give another run id: there is no such key."""
    assert "consensus" not in load_scenario("fedavg").to_dict()
    assert "coordinator" not in load_scenario("vbfl").to_dict()


def test_naming_another_protocol_leaves_behind_what_it_lacks_but_no_adversary():
    scenario = load_scenario("vbfl", {"protocol": "fedavg", "payout.mechanism": "none"})
    assert scenario.protocol == "fedavg"
    assert scenario.training == load_scenario("vbfl").training
    with pytest.raises(ScenarioError, match=r"adversaries\.0\.miner"):
        load_scenario("vbfl", {"adversaries.0.miner": "tamper", "protocol": "fedavg"})


def test_numbers_of_numpy_are_taken_as_python_s(tiny):
    given = {
        "rounds": np.int64(2),
        "validation.params.threshold": np.float64(0.25),
        "record.epoch_accuracy": np.bool_(True),
        "model": {"name": np.str_("mlp"), "params": {"hidden": np.array([4, 3])}},
    }
    scenario = tiny(**{key.replace(".", "__"): value for key, value in given.items()})
    same = tiny(
        rounds=2,
        validation__params__threshold=0.25,
        record__epoch_accuracy=True,
        model={"name": "mlp", "params": {"hidden": [4, 3]}},
    )
    assert scenario == same
    assert scenario.run_id() == same.run_id()
    assert type(scenario.rounds) is int
    payment = Payment(np.int64(3), np.int32(5), "reward.flat")
    assert [type(payment.payee), type(payment.amount)] == [int, int]
