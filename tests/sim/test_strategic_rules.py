"""What reviewers found once: rules that shut out, malformed acts, utilities that must add up."""

import numpy as np
import pytest

from experiments import ScenarioError, load_scenario
from mechanisms.failures import PluginFailedError
from sim.keys import SettingError
from sim.world import World
from tests.conftest import TINY, tiny_keys


def played(preset="vbfl", **changes):
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    tiny = tiny_keys(preset, dotted.get("protocol"))
    world = World(load_scenario(preset, {**tiny, "adversaries": [], **dotted}))
    list(world.run())
    world.tables = {
        name: table.to_pandas() for name, table in world.kernel.recorder.tables().items()
    }
    return world


OPEN = {"validation__params": {"threshold": 1.0}}
BAD = [
    {"name": "bad", "devices": [0, 1], "worker": "gaussian-noise", "worker_params": {"scale": 50.0}}
]


@pytest.mark.parametrize("rule", ["median", "trimmed-mean", "krum", "geometric-median", "mean"])
def test_one_update_is_enough_for_every_aggregation_rule(rule):
    sets = {
        "roles__params": {"counts": "1,2,2"},
        "devices": 5,
        "aggregation__rule": rule,
        "data__validation_fraction": 0.25,
    }
    params = {"f": 0} if rule in ("trimmed-mean", "krum") else {}
    assert (
        played(**sets, **OPEN, aggregation__params=params).tables["rounds"].accepted_honest.sum()
        > 0
    )


def test_when_too_few_are_admitted_rounds_are_empty():
    parts = [{"part": "slashing", "params": {"stake": 100, "fraction": 1.0}}]
    world = played(payout__parts=parts, payout__initial_balance=100, adversaries=BAD, rounds=5)
    rounds = world.tables["rounds"]
    assert rounds.workers.iloc[0] > 0
    assert rounds.workers.iloc[-1] == 0, "the roles need eight, some have lost their stake"
    assert len(rounds) == 5


def test_spares_do_not_count_as_those_who_can_play():
    group = [{"name": "bad", "count": 4, "spares": 2}]
    with pytest.raises(ScenarioError, match="beside 2 spare identities"):
        load_scenario("vbfl", {**TINY, "adversaries": group})


@pytest.mark.parametrize("protocol", ["fedavg", "coordinator"])
@pytest.mark.parametrize(
    ("worker", "kind"), [("forge", "forged"), ("replay", "replayed"), ("duplicate", "duplicate")]
)
def test_false_transactions_are_refused_under_every_protocol(protocol, worker, kind):
    sets = {"payout__mechanism": "flat"}
    if protocol == "coordinator":
        sets |= {
            "coordinator__verifier": "oracle",
            "coordinator__aggregator": "organisation",
            "data__validation_fraction": 0.25,
        }
    world = played(
        protocol, adversaries=[{"name": "bad", "devices": [0, 1], "worker": worker}], **sets
    )
    assert set(world.tables["incidents"].kind) == {kind}
    accepted = world.tables["rounds"].accepted_adversary.sum()
    assert accepted == (6 if worker == "duplicate" else 0)


MALFORMED = """
import numpy as np
from agents.miners.base import MinerBehaviour
from agents.workers.base import WorkerBehaviour
from mechanisms.vocabulary import MiningDecision, Submission

class Base(WorkerBehaviour):
    name = "base"
    def submit(self, seen):
        return Submission(**self.act(seen))
    def sent(self, seen, **changes):
        sent = {"updates": seen.updates}
        sent |= {"claimed_samples": seen.samples, "claimed_epochs": seen.epochs}
        return sent | changes

class Ragged(Base):
    name = "ragged"
    def act(self, seen):
        return self.sent(seen, updates=[[1.0, 2.0], [3.0]])

class Nan(Base):
    name = "nan"
    def act(self, seen):
        return self.sent(seen, updates=seen.updates * np.nan)

class Text(Base):
    name = "text"
    def act(self, seen):
        return self.sent(seen, updates="all your base")

class Claims(Base):
    name = "claims"
    def act(self, seen):
        return self.sent(seen, claimed_samples=None)

class Reveal(Base):
    name = "reveal"
    def act(self, seen):
        return self.sent(seen, revealed=np.zeros((7, 3)))

class NanAggregate(MinerBehaviour):
    name = "nan-aggregate"
    knows = frozenset({"updates"})
    def mine(self, seen):
        row = np.full(seen.updates.shape[1], np.nan)
        return MiningDecision(replaced={r.worker: row for r in seen.records})
"""


@pytest.mark.parametrize("protocol", ["vbfl", "fedavg", "coordinator"])
@pytest.mark.parametrize("name", ["Ragged", "Text", "Claims", "Reveal"])
def test_submissions_in_a_wrong_form_stop_the_run(protocol, name, tmp_path):
    (tmp_path / "malformed.py").write_text(MALFORMED)
    group = {"name": "bad", "devices": [0, 1], "worker": f"{tmp_path}/malformed.py:{name}"}
    with pytest.raises(PluginFailedError, match=rf"malformed.py:\d+ in {name}.submit, round"):
        played(protocol, adversaries=[group], **(OPEN if protocol == "vbfl" else {}))


def test_an_aggregate_that_is_no_number_is_an_absent_one(tmp_path):
    (tmp_path / "malformed.py").write_text(MALFORMED)
    group = {"name": "bad", "devices": [0], "miner": f"{tmp_path}/malformed.py:NanAggregate"}
    sets = {"coordinator__aggregator": "fixed", "coordinator__verifier": "oracle", "rounds": 1}
    world = played("coordinator", adversaries=[group], **sets)
    assert "malformed" in set(world.tables["incidents"].kind)
    assert np.isfinite(
        world.protocol.game.bench.models[world.protocol.game.forks.canonical().model]
    ).all()
    assert set(world.tables["participants"].conduct.dropna()) == {"unsettled"}


def test_without_commit_reveal_nothing_is_left_to_be_missed():
    sets = {
        "availability__kind": "alternating",
        "availability__mean_online_s": 1.0,
        "availability__mean_offline_s": 1.0,
        "network__link_bytes_per_s": 150.0,
        "coordinator__verifier": "oracle",
        "coordinator__aggregator": "organisation",
        "rounds": 15,
    }
    assert "unrevealed" in set(played("coordinator", **sets).tables["incidents"].kind)
    assert "unrevealed" not in set(
        played("coordinator", **sets, coordinator__commit_reveal=False).tables["incidents"].kind
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"payout__parts": [{"part": "identity-cost", "params": {"cost": 100}}]},
        {
            "payout__mechanism": "equal-share",
            "payout__params": {"pool": 8_000, "deadline": 99, "stake": 50},
        },
        {"payout__mechanism": "slashed-vbfl", "payout__params": {"stake": 500}},
        {"payout__parts": [{"part": "fees", "params": {"deposit": 100}}, {"part": "reputation"}]},
        {
            "payout__mechanism": "coordinator",
            "protocol": "coordinator",
            "payout__initial_balance": 5_000_000,
        },
    ],
)
@pytest.mark.parametrize("forks", [False, True])
def test_utilities_add_up_to_what_moved(changes, forks):
    """Without costs the utilities of a device are its last balance less its first.

    Stakes paid and returned are included.
    """
    sets = {
        "availability__kind": "per-round",
        "availability__online": 0.8,
        "network__link_bytes_per_s": 2_000.0,
    }
    if "protocol" not in changes:  # vbfl
        sets |= {"consensus__kind": "pow", "consensus__difficulty": 1}
    world = played(
        **({"payout__initial_balance": 1_000, "adversaries": BAD, "rounds": 6} | changes),
        **(sets if forks else {}),
    )
    utility = world.tables["participants"].groupby("device").utility.sum()
    for d in range(8):
        assert (
            utility[d]
            == world.kernel.treasury.balance(d) - world.kernel.scenario.payout.initial_balance
        )


def test_deposits_that_are_spent_or_returned_are_no_slashes():
    group = [{"name": "quiet", "devices": [0, 1, 2], "spares": 1}]
    for changes in (
        {"payout__parts": [{"part": "fees", "params": {"deposit": 100}}]},
        {"payout__mechanism": "equal-share", "payout__params": {"stake": 50, "deadline": 2}},
    ):
        world = played(
            adversaries=group, devices=12, payout__initial_balance=1_000, rounds=5, **changes
        )
        assert "whitewashed" not in set(world.tables["incidents"].kind)


def test_the_benefit_of_damage_is_not_multiplied_by_identities_in_reserve():
    group = [{"name": "bad", "devices": [0, 1, 2], "spares": 2, "damage_benefit": 100.0}]
    p = played(adversaries=group, devices=12, payout__mechanism="none").tables["participants"]
    assert (p[p.device == 0].utility > 0).all()
    assert (p[p.device.isin([1, 2])].utility == 0).all()


def test_learners_do_not_count_absences():
    group = [
        {
            "name": "rational",
            "devices": [0, 1, 2],
            "presence": 0.5,
            "strategies": [{"worker": "honest"}, {"worker": "lazy"}],
        }
    ]
    world = played(adversaries=group, rounds=20)
    p = world.tables["participants"]
    for d in (0, 1, 2):
        played_by = p[(p.device == d) & p.online & (p.role == "worker")]
        assert len(world.kernel.population.learners.plays[d]) == len(played_by)


def test_a_gang_does_not_dispute_its_own():
    gang = [{"name": "gang", "devices": list(range(8)), "miner": "tamper"}]
    world = played(
        "coordinator", adversaries=gang, coordinator__watch=1.0, coordinator__verifier="oracle"
    )
    assert "wrong-aggregate" not in set(world.tables["incidents"].kind)


def test_watching_and_checking_cost_time():
    sets = {
        "coordinator__verifier": "re-execution",
        "coordinator__watch": 1.0,
        "coordinator__watch_s": 7.0,
        "rounds": 1,
    }
    p = played("coordinator", **sets).tables["participants"]
    assert (p[p.role == "worker"].compute_s > 7).all()
    assert (p[p.role == "miner"].compute_s > 0).all()


def test_malformed_updates_are_slashed_by_a_coordinator(tmp_path):
    (tmp_path / "malformed.py").write_text(MALFORMED)
    group = [{"name": "bad", "devices": [0, 1], "worker": f"{tmp_path}/malformed.py:Nan"}]
    p = played("coordinator", adversaries=group, coordinator__aggregator="organisation").tables[
        "participants"
    ]
    assert p[p.group == "bad"].utility.sum() < 0


def test_under_secure_aggregation_a_single_update_is_never_released():
    sets = {
        "privacy__secure_aggregation": True,
        "coordinator__verifier": "proof",
        "coordinator__aggregator": "organisation",
    }
    alone = played(
        "coordinator",
        devices=2,
        adversaries=[{"name": "bad", "devices": [0], "worker": "overstate"}],
        **sets,
    )
    both = played("coordinator", devices=2, **sets)
    alone, both = (world.protocol.game.forks for world in (alone, both))
    assert alone.canonical().model == alone.book.root.model
    assert both.canonical().model != both.book.root.model


@pytest.mark.parametrize(
    ("preset", "changes", "told"),
    [
        (
            "vbfl",
            {"payout.parts": [{"part": "fees", "params": {"deposit": 5, "update": 10}}]},
            "does not cover the most expensive call",
        ),
        ("coordinator", {"coordinator.params.size": 19}, "at least 21"),
        ("coordinator", {"payout.initial_balance": 1_000_000}, "bond of an aggregator"),
        (
            "coordinator",
            {
                "privacy.secure_aggregation": True,
                "coordinator.verifier": "proof",
                "adversaries": [],
            },
            "let the organisation aggregate",
        ),
        (
            "digits-quick",
            {"payout.parts": [{"part": "consent", "params": {"ledger": [{"devices": [99]}]}}]},
            "= 99: devices are numbered",
        ),
        (
            "digits-quick",
            {"payout.mechanism": "decentralml", "payout.params": {"whitelist": [99]}},
            "= 99: devices are numbered",
        ),
        (
            "vbfl",
            {
                "payout.parts": [
                    {
                        "part": "consent",
                        "params": {
                            "ledger": [{"devices": [0], "from_round": 5, "revoked_round": 2}]
                        },
                    }
                ]
            },
            "does not come after",
        ),
        (
            "vbfl",
            {
                "adversaries": [
                    {
                        "name": "a",
                        "count": 2,
                        "worker": "label-flip",
                        "strategies": [{"worker": "honest"}],
                    }
                ]
            },
            "either worker or strategies",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(preset, changes, told):
    with pytest.raises((ScenarioError, SettingError), match=told):
        World(
            load_scenario(
                preset, changes | ({"data.validation_fraction": 0.25} if preset == "vbfl" else {})
            )
        )
