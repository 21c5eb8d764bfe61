"""Keys that another key switches off, and settings that cannot act."""

import dataclasses
import re

import pytest

from experiments import load_scenario
from experiments.kinds import all_kinds
from experiments.loader import ScenarioError
from experiments.sweeps.plan import load_spec, plan
from mechanisms import registries as rules
from mechanisms.failures import PluginFailedError
from mechanisms.plugin import device_numbers
from mechanisms.vocabulary import OpeningObservation, Payment, Settlement
from sim.conditions import marks_of, switched_off
from sim.keys import SettingError, table_of
from sim.money.payments import checked
from sim.registries import protocols
from sim.scenario import scenario_of

PRESETS = ("vbfl", "fedavg", "coordinator")
OTHERS = {
    "validator": "flip",
    "miner": "withhold",
    "learner": "imitation",
    "learner_params": {"epsilon": 0.37},
    "edges": [[0, 1]],
    "tie_rule": "latest-arrival",
    "in_a_row": "rounds",
    "clock": "block",
    "shard_order": "file",
    "holdings": "zipf",
}
"""Another value than the default of keys that are not numbers."""
OFF = {
    "blocklist.in_a_row": {"blocklist.knock_out_rounds": 0, "blocklist.lazy_rounds": 0},
    "blocklist.holds_roles": {"blocklist.knock_out_rounds": 0, "blocklist.lazy_rounds": 0},
    "consensus.tie_rule": {"consensus.kind": "pow"},
    "data.shards_per_device": {"data.partition": "iid"},
    "data.shard_order": {"data.partition": "iid"},
    "data.alpha": {"data.partition": "iid"},
    "payout.holdings": {"payout.initial_balance": 0},
    "coordinator.reveal_s": {"coordinator.commit_reveal": False, "adversaries": []},
    "coordinator.challenge_s": {"coordinator.aggregator": "organisation"},
    "coordinator.watch": {"coordinator.aggregator": "organisation"},
    "coordinator.watch_s": {"coordinator.watch": 0.0},
    "adversaries.0.validator": {"coordinator.verifier": "proof", "coordinator.params": {}},
    "adversaries.0.miner": {
        "coordinator.aggregator": "organisation",
        "adversaries": [{"name": "some", "count": 1}],
    },
}
"""What switches a key off that acts by default."""


def marked(table, prefix=""):
    """Dotted keys of a class of scenarios that have a mark, and their default."""
    for name in marks_of(table):
        yield f"{prefix}{name}", table.model_fields[name].get_default(call_default_factory=True)
    for name, field in table.model_fields.items():
        inner = table_of(field)
        if inner is not None and name == "adversaries":
            yield from marked(inner, f"{prefix}{name}.0.")
        elif inner is not None and not isinstance(field.default, tuple):
            yield from marked(inner, f"{prefix}{name}.")


CASES = [
    (preset, key, default)
    for preset in PRESETS
    for key, default in marked(protocols.get(preset).Scenario)
]


def another(key, default):
    last = key.rpartition(".")[2]
    if last in OTHERS:
        return OTHERS[last]
    if isinstance(default, bool):
        return not default
    return default + 1 if isinstance(default, int) else default * 0.5 + 1e-3


def test_the_presets_and_marks_are_there():
    assert len(CASES) >= 60
    assert {key for _, key, _ in CASES} >= OFF.keys()


@pytest.mark.parametrize(("preset", "key", "default"), CASES, ids=lambda v: str(v)[:40])
def test_a_key_is_refused_where_it_cannot_act(preset, key, default):
    """Another value is refused with the key that switches it off; the default changes nothing."""
    off = OFF.get(key, {})
    plain = load_scenario(preset, {"adversaries": [{"name": "some", "count": 1}], **off})
    assert key in {each.key for each in switched_off(type(plain), plain.to_dict())}
    with pytest.raises(SettingError, match=re.escape(key) + " = .*: acts only where "):
        plain.replace(**{key: another(key, default)})
    same = plain.to_dict()
    assert scenario_of(same).run_id() == plain.run_id()


def test_what_switches_a_key_off_is_named():
    for key, value, message in (
        ("data.alpha", 3.0, "data.partition is 'dirichlet' or 'quantity', and it is 'shards'"),
        ("consensus.difficulty", 5, "consensus.kind is 'pow', and it is 'pos'"),
        ("network.hashes_per_s", 5.0, "consensus.kind is 'pow', and it is 'pos'"),
        ("privacy.delta", 1e-3, "privacy.noise is above 0, and it is 0.0"),
        ("costs.concede", 5, "adversaries is a list with validators that threaten"),
        ("adversaries.0.learner", "imitation", "adversaries.0.strategies is given"),
    ):
        with pytest.raises(ScenarioError) as raised:
            load_scenario("vbfl", {key: value})
        assert str(raised.value) == f"vbfl: {key} = {value!r}: acts only where {message}"


# --- inherited and dropped ----------------------------------------------------------------------


def test_what_is_inherited_and_switched_off_is_dropped():
    skewed = load_scenario("digits-quick")
    assert skewed.data.alpha == 1.0
    for even in (
        load_scenario("digits-quick", {"data.partition": "iid"}),
        load_scenario("digits-quick", {"data": {"partition": "iid"}}),
        skewed.replace(**{"data.partition": "iid"}),
    ):
        assert even.data.alpha == 0.5


def test_a_preset_prepares_keys_for_rules_that_are_not_chosen_yet():
    assert load_scenario("vbfl").payout.utility_samples == 0
    assert load_scenario("vbfl", {"payout.mechanism": "shapley"}).payout.utility_samples == 200


def test_a_file_that_says_what_cannot_act_is_refused_whatever_is_overridden(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('extends = "vbfl"\n[data]\npartition = "iid"\nalpha = 0.1\n')
    for changes in ({}, {"rounds": 2}):
        with pytest.raises(ScenarioError, match=r"data.alpha = 0.1: acts only where"):
            load_scenario(file, changes)
    assert load_scenario(file, {"data.partition": "dirichlet"}).data.alpha == 0.1
    file.write_text('extends = "vbfl"\n[data]\npartition = "dirichlet"\nalpha = 0.1\n')
    assert load_scenario(file, {"data.partition": "iid"}).data.alpha == 0.5
    heir = tmp_path / "heir.toml"
    heir.write_text('extends = "mine.toml"\n[data]\npartition = "iid"\n')
    assert load_scenario(heir).data.alpha == 0.5


def test_wrong_types_are_refused_as_such_and_not_looked_up(tmp_path):
    for key, value in (
        ("data", 5),
        ("payout", []),
        ("adversaries", 7),
        ("adversaries", [3]),
        ("payout.mechanism", 3),
        ("payout.parts", [{"part": 1}]),
        ("data.partition", ["iid"]),
    ):
        with pytest.raises(ScenarioError):
            load_scenario("vbfl", {key: value, "payout.utility_samples": 3})


# --- sweeps -------------------------------------------------------------------------------------


def sweep(tiny, factors, **more):
    base = tiny().to_dict()
    place = {"scenario": "vbfl", "set": {k: base[k] for k in ("rounds", "devices")}} | more
    place["set"] |= {"data.dataset": "digits", "roles.params": {"counts": "4,2,2"}}
    return plan(load_spec({**place, "design": [{"factors": factors}]}))


def test_a_factor_has_no_label_where_it_cannot_act_and_such_cells_are_one(tiny):
    factors = {"data.partition": ["iid", "dirichlet"], "data.alpha": [0.1, 1.0]}
    runs = sweep(tiny, factors)
    assert [tuple(run.labels.values()) for run in runs] == [
        ("iid", None),
        ("dirichlet", 0.1),
        ("dirichlet", 1.0),
    ]
    assert [run.cell for run in runs] == [0, 1, 2]
    assert len({run.run_id for run in runs}) == 3


def test_a_key_that_acts_in_no_cell_is_refused(tiny):
    with pytest.raises(ScenarioError, match=r"data.alpha: acts in no cell: acts only where"):
        sweep(tiny, {"data.partition": ["iid"], "data.alpha": [0.1]})
    with pytest.raises(ScenarioError, match=r"network.hashes_per_s: acts in no cell"):
        sweep(tiny, {"consensus.kind": ["pos"]}, set={"network.hashes_per_s": 23.0, "rounds": 2})
    kinds = {"consensus.kind": ["pos", "pow"]}
    runs = sweep(tiny, kinds, set={"network.hashes_per_s": 23.0, "rounds": 2})
    assert [run.scenario.network.hashes_per_s for run in runs] == [1e6, 23.0]


# --- settings that cannot act -------------------------------------------------------------------


@pytest.mark.parametrize("worker", ["no-reveal", "switch-reveal"])
def test_commitments_are_broken_where_there_are_some(tiny, worker):
    group = [{"name": "cheats", "count": 1, "worker": worker}]
    for preset in ("vbfl", "fedavg"):
        with pytest.raises(ScenarioError, match=r"adversaries.0.worker = .*nobody commits here"):
            load_scenario(preset, {"adversaries": group})
    load_scenario("coordinator", {"adversaries": group})
    with pytest.raises(ScenarioError, match=r"nobody commits here"):
        load_scenario("coordinator", {"adversaries": group, "coordinator.commit_reveal": False})
    strategies = [{"name": "cheats", "count": 1, "strategies": [{"worker": worker}]}]
    with pytest.raises(ScenarioError, match=r"adversaries.0.strategies.0.worker"):
        load_scenario("vbfl", {"adversaries": strategies})


@pytest.mark.parametrize("role", ["validator", "miner"])
def test_roles_that_a_protocol_does_not_have(role):
    group = {"name": "some", "count": 1, role: "honest"}
    with pytest.raises(ScenarioError, match=rf"adversaries.0.{role} .*no key of fedavg"):
        load_scenario("fedavg", {"adversaries": [group]})


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"roles.rule": "fixed", "roles.params": {"validators": [99]}}, "roles.params.validators"),
        (
            {"adversaries": [{"count": 1, "miner": "censor", "miner_params": {"devices": [20]}}]},
            "adversaries.0.miner_params.devices",
        ),
        (
            {"payout.mechanism": "decentralml", "payout.params": {"whitelist": [3, 20]}},
            "payout.params.whitelist",
        ),
        (
            {"payout.parts": [{"part": "consent", "params": {"ledger": [{"devices": [20]}]}}]},
            "payout.parts.0.params.ledger.0.devices",
        ),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_parameters(changes, key):
    with pytest.raises(ScenarioError, match=re.escape(key) + r" = \d+: .*0\.\.19"):
        load_scenario("vbfl", changes)


def test_every_list_of_whole_numbers_says_whether_it_is_of_devices():
    """A new parameter with device numbers must be marked, or its numbers are not checked."""
    others = {("mlp", "hidden")}
    for kind in (kind for kind in all_kinds() if kind is not protocols):
        for name in kind.names():
            plugin = kind.get(name)
            for example in plugin.examples:
                params = plugin.configure(example).params
                marked = {key.rpartition(".")[2] for key, _ in device_numbers(params)}
                for field in params.__dataclass_fields__.values():
                    value = getattr(params, field.name)
                    whole = isinstance(value, tuple) and value and type(value[0]) is int
                    if whole and (name, field.name) not in others:
                        assert field.name in marked, (name, field.name)


COSTS_NOTHING = {
    "expires", "deadline", "validators", "miners", "f", "keep", "target", "source", "size", "side",
    "seed", "epochs", "only", "label", "author",
}  # fmt: skip
"""Whole numbers of parameters without an upper bound: numbers of rounds, devices, classes, seats,
and `epochs` of the lazy, which are at most those asked for."""


def test_every_amount_of_work_in_parameters_has_an_upper_bound():
    """What a plug-in repeats is bounded: no scenario runs for ever by one number."""
    bounded = 0
    for kind in (kind for kind in all_kinds() if kind is not protocols):
        for name in kind.names():
            for field in dataclasses.fields(kind.get(name).Params):
                has_bound = field.metadata["bounds"].keys() & {"le", "lt"}
                if type(field.default) is int and field.name not in COSTS_NOTHING:
                    assert has_bound, (kind.one, name, field.name)
                    bounded += 1
    assert bounded > 10


def test_graphs_whose_routes_nobody_would_wait_for_are_refused():
    roles = {"network.topology": "small-world", "network.degree": 4}
    load_scenario("vbfl", {**roles, "devices": 2_000})
    with pytest.raises(ScenarioError, match=r"network.topology = 'small-world': has .* of routing"):
        load_scenario("vbfl", {**roles, "devices": 20_000})


@pytest.mark.parametrize("reason", ["initial", "bribe", "reorg.reward"])
def test_reasons_of_the_house_are_no_rules(monkeypatch, reason):
    rule = rules.payouts.create("none", {})
    seen = OpeningObservation(devices=(0, 1, 2), balances=(0, 0, 0))

    def opened(why):
        paid = Settlement((Payment(0, 5, why),))
        monkeypatch.setattr(type(rule), "open", lambda self, seen: paid)
        return checked(rule, 3).open(seen)

    with pytest.raises(PluginFailedError, match=f"pays for the reason '{reason}'"):
        opened(reason)
    assert opened("reward").payments


@pytest.mark.parametrize(
    ("preset", "key", "changes"),
    [
        ("fedavg", "network.latency_s", {}),
        ("vbfl", "storage.latency_s", {"storage__kind": "off-chain"}),
        ("coordinator", "coordinator.challenge_s", {}),
    ],
)
def test_rounds_that_are_too_long_for_a_run_are_refused_before_it_begins(
    tiny, preset, key, changes
):
    long = {**changes, key.replace(".", "__"): 5e8, "rounds": 2}
    assert tiny(preset, **long).rounds == 2
    with pytest.raises(ScenarioError, match=rf"{key} = 5.*: at most 3.33333e\+08 for 3 rounds: "):
        tiny(preset, **long | {"rounds": 3})
