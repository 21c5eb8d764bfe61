"""A whole round, from roles to ledger."""

import gc
import itertools
import weakref

import mesa
import numpy as np
import pytest

from mechanisms.failures import PluginFailedError
from sim.chain.state import branches
from sim.money.ledger import BURN, ISSUANCE
from sim.protocols.vbfl import plan
from sim.protocols.vbfl.adoption import Adoption
from sim.training import averaging
from sim.world import World

EASY = {"pos": {}, "pow": {"consensus__difficulty": 1}}
"""Work that takes no time, by kind of consensus."""


def play(scenario, data=None):
    world = World(scenario, data)
    for _ in world.run():
        pass
    world.close()
    return world


def frames(world):
    return {name: table.to_pandas() for name, table in world.kernel.recorder.tables().items()}


def tables_bytes(world):
    return {
        name: table.to_pydict() for name, table in world.kernel.recorder.tables().items()
    }, world.kernel.treasury.ledger.journal


PUBLISHED_8000 = {
    "devices": 20,
    "rounds": 6,
    "data__params": {"train": 8_000, "test": 200, "features": 6, "classes": 3},
    "data__partition": "shards",
    "data__validation_fraction": 0.0,
    "roles__params": {"counts": "12,5,3"},
    "training__epochs": 5,
    "validation__params": {"threshold": 1.0},
}


@pytest.fixture(scope="module")
def published(tiny):
    """Authors' options on 8,000 training samples: the exact accounting of their logs."""
    return play(tiny("vbfl-published", **PUBLISHED_8000))


class TestPublishedAccounting:
    def test_every_accepted_worker_2000_every_validator_12(self, published):
        people = frames(published)["participants"]
        workers = people[people["role"] == "worker"]
        assert len(workers) == 6 * 12
        assert workers["accepted"].all()
        assert set(workers["income"]) == {2_000}
        assert set(people.loc[people["role"] == "validator", "income"]) == {12}

    def test_an_unforked_winner_earns_61_and_holds_the_highest_stake_among_miners(self, published):
        f = frames(published)
        people, rounds, blocks = f["participants"], f["rounds"], f["blocks"]
        unforked = rounds[~rounds["forked"]]
        assert len(unforked) > 0
        for row in unforked.itertuples():
            miners = people[(people["round"] == row.round) & (people["role"] == "miner")].set_index(
                "device"
            )
            assert miners.loc[row.winner, "income"] == 61
            assert (miners.drop(row.winner)["income"] == 0).all()
            stakes = blocks.loc[blocks["round"] == row.round, "stake"]
            assert row.winner_stake == stakes.max()

    def test_the_first_round_forks_and_nobody_earns_the_miners_reward(self, published):
        """All stakes are 0: each miner files the block that arrives last, never its own."""
        f = frames(published)
        first = f["rounds"].iloc[0]
        assert first["forked"]
        assert first["issued"] == 12 * 2_000 + 5 * 12
        miners = f["participants"].query("round == 1 and role == 'miner'")
        assert (miners["income"] == 0).all()
        assert f["participants"].query("round == 1")["accuracy"].nunique() == 1, (
            "the blocks hold the same transactions"
        )

    def test_all_validators_vote_on_all_updates_on_the_test_set(self, published):
        votes = frames(published)["votes"]
        assert (votes.groupby("round").size() == 60).all()
        assert (votes.groupby(["round", "worker"])["update_accuracy"].nunique() == 1).all()
        assert set(votes["status"]) == {"counted"}


class TestIntendedProtocol:
    def test_equal_stakes_do_not_fork(self, tiny):
        world = play(tiny(rounds=4))
        assert not frames(world)["rounds"]["forked"].any()
        assert (frames(world)["rounds"]["heads"] == 1).all()

    def test_validators_use_their_own_samples_and_no_test_sample(self, tiny):
        world = World(tiny())
        test = {x.tobytes() for x in world.protocol.game.bench.dataset.x_test}
        for x, _ in world.protocol.game.bench.split.validation:
            assert not test & {row.tobytes() for row in x}

    def test_a_committee_judges_each_update(self, tiny):
        world = play(tiny(devices=14, roles__params={"counts": "6,6,2"}, validation__committee=3))
        votes = frames(world)["votes"]
        assert (votes.groupby(["round", "worker"]).size() == 3).all()
        assert (votes["status"] == "counted").all()

    def test_blocks_are_linked_signed_and_carry_real_bytes(self, tiny):
        world = play(tiny(rounds=4))
        blocks = frames(world)["blocks"].query("status == 'adopted'").sort_values("height")
        assert blocks["previous"].tolist()[1:] == blocks["hash"].tolist()[:-1]
        updates = blocks["updates"] * world.protocol.game.bench.engine.size * 4
        assert (blocks["size_bytes"] > updates).all()
        assert (blocks["size_bytes"] < updates + 20_000).all()


class TestAttacks:
    def test_gaussian_noise_hits_only_the_weights_of_the_attackers(self, tiny):
        """The same seed with and without: honest rows are the same bytes in the first round."""
        seen = {}
        for scale in (0.0, 5.0):
            world = World(
                tiny(
                    rounds=1,
                    adversaries__0__count=3,
                    adversaries__0__worker_params={"scale": scale},
                )
            )
            original = plan.do_local_work

            def spy(*args, original=original, scale=scale, **how):
                seen[scale] = original(*args, **how)
                return seen[scale]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(plan, "do_local_work", spy)
                world.step()
            adversaries = {p.device for p in world.kernel.population if p.adversary}
            assert len(adversaries) == 3
        clean, noisy = seen[0.0], seen[5.0]
        bias = [s for s in world.protocol.game.bench.engine.layout if s.name.endswith("bias")]
        for w, i in clean.row.items():
            j = noisy.row[w]
            if w in adversaries:
                assert (clean.updates[i] != noisy.updates[j]).mean() > 0.5
                for s in bias:
                    assert (
                        clean.updates[i][s.start : s.stop] == noisy.updates[j][s.start : s.stop]
                    ).all()
            else:
                assert (clean.updates[i] == noisy.updates[j]).all()

    def test_lying_validators_flip(self, tiny):
        world = play(
            tiny(
                adversaries__0__count=8,
                adversaries__0__worker="honest",
                adversaries__0__validator="flip",
            )
        )
        votes = frames(world)["votes"]
        assert (votes["vote"] == ~votes["verdict"]).all()

    def test_mute_miners_leave_no_block(self, tiny):
        world = play(
            tiny(
                adversaries__0__count=8,
                adversaries__0__worker="honest",
                adversaries__0__miner="withhold",
            )
        )
        f = frames(world)
        assert set(f["blocks"]["status"]) == {"withheld"}
        assert f["rounds"]["winner"].isna().all()
        assert f["rounds"]["accuracy"].nunique() == 1
        assert not world.kernel.treasury.ledger.journal

    def test_one_mute_miner_only_loses_its_own_block(self, tiny):
        world = play(
            tiny(
                rounds=8,
                adversaries__0__count=3,
                adversaries__0__worker="honest",
                adversaries__0__miner="withhold",
            )
        )
        f = frames(world)
        assert (f["blocks"]["status"] == "withheld").any()
        assert not f["blocks"].query("status == 'adopted'")["miner_adversary"].any()

    def test_nan_updates_are_never_aggregated(self, tiny):
        world = play(tiny(adversaries__0__count=4, adversaries__0__worker_params={"scale": 3e38}))
        f = frames(world)
        assert np.isfinite(f["rounds"]["loss"]).all()
        bad = f["votes"][f["votes"]["worker_adversary"]]
        assert set(bad["status"]) == {"malformed"}
        assert not bad["verdict"].any()

    def test_shut_out_devices_only_fill_seats_of_workers(self, tiny):
        """Everybody who trains is soon shut out: stand-ins never validate or mine, earn nothing."""
        world = play(
            tiny(
                rounds=12,
                adversaries__0__count=4,
                adversaries__0__worker_params={"scale": 50.0},
                validation__params={"threshold": 0.0},
                blocklist__knock_out_rounds=1,
            )
        )
        people = frames(world)["participants"]
        before = people.assign(round=people["round"] + 1)[["round", "device", "blocked"]]
        shut = people.merge(before, on=["round", "device"], suffixes=("", "_before")).query(
            "blocked_before"
        )
        assert len(shut) > 0
        assert set(shut["role"].dropna()) <= {"worker"}
        assert (shut["income"] == 0).all()

    def test_claims_beyond_belief_are_malformed(self, tiny, tmp_path):
        path = tmp_path / "boast.py"
        path.write_text(
            "import numpy as np\n"
            "from agents.workers.base import WorkerBehaviour\n"
            "from mechanisms.vocabulary import Submission\n"
            "class Boast(WorkerBehaviour):\n"
            "    name = summary = reference = 'boast'\n"
            "    def submit(self, seen):\n"
            "        claims = (seen.samples + 2**62, -seen.samples)[seen.round % 2]\n"
            "        return Submission(seen.updates, claims, seen.epochs)\n"
        )
        world = play(
            tiny(rounds=8, adversaries__0__count=4, adversaries__0__worker=f"{path}:Boast")
        )
        f = frames(world)
        votes, people = f["votes"], f["participants"]
        assert set(votes[votes["worker_adversary"]]["status"]) == {"malformed"}
        assert people.query("adversary and role == 'worker'")["income"].sum() == 0
        malformed = people[people["malformed"].fillna(False)]
        assert set(malformed["strategy"]) == {"boast"}
        assert len(malformed) == f["rounds"]["malformed"].sum() > 0

    def test_the_largest_numbers_do_not_stop_an_average(self, tiny, tmp_path):
        path = tmp_path / "huge.py"
        path.write_text(
            "import numpy as np\n"
            "from agents.workers.base import WorkerBehaviour\n"
            "from mechanisms.vocabulary import Submission\n"
            "class Huge(WorkerBehaviour):\n"
            "    name = summary = reference = 'huge'\n"
            "    def submit(self, seen):\n"
            "        rows = np.full_like(seen.updates, np.finfo(np.float32).max)\n"
            "        return Submission(rows, seen.samples, seen.epochs)\n"
        )
        world = play(
            tiny(
                "fedavg",
                rounds=2,
                adversaries__0__devices=list(range(8)),
                adversaries__0__worker=f"{path}:Huge",
            )
        )
        game = world.protocol.game
        assert np.isfinite(game.bench.models[game.forks.head.model]).all()


def earned(world, device):
    """Return what the chain that a device holds pays it."""
    lineage = world.protocol.game.forks.state(device).lineage()
    return sum(x.amount for s in lineage for x in s.payments.get(device, ()))


class TestMoney:
    def test_every_device_holds_what_its_chain_pays(self, tiny):
        world = play(tiny("vbfl-published", rounds=5, payout__initial_balance=100))
        for p in world.kernel.population:
            assert world.kernel.treasury.balance(p.device) == 100 + earned(world, p.device)

    @pytest.mark.parametrize("kind", ["pos", "pow"])
    def test_resync_replays_rewards_and_models(self, tiny, kind):
        """Slow links and easy work: every miner finds its own block first.

        Chains fork every round and meet again.
        """
        scenario = tiny(
            rounds=6,
            **{"consensus__kind": kind} | EASY[kind],
            network__link_bytes_per_s=2_000.0,
            availability__kind="per-round",
            availability__online=0.8,
        )
        world = World(scenario)
        journal_of_reorgs = 0
        for _ in world.run():
            for p in world.kernel.population:
                assert world.kernel.treasury.balance(p.device) == earned(world, p.device)
            assert world.kernel.treasury.ledger.issued(
                "STAKE"
            ) - world.kernel.treasury.ledger.burned("STAKE") == sum(
                world.kernel.treasury.balance(d) for d in range(scenario.devices)
            )
        people = frames(world)["participants"]
        assert people["resynced"].any()
        if kind == "pow":
            assert frames(world)["rounds"]["forked"].any()
            rounds = frames(world)["rounds"]
            assert rounds["issued"].sum() == world.kernel.treasury.ledger.issued("STAKE")
            assert rounds["burned"].sum() == world.kernel.treasury.ledger.burned("STAKE") > 0
            journal_of_reorgs = sum(
                e.reason.startswith("reorg.") for e in world.kernel.treasury.ledger.journal
            )
            assert journal_of_reorgs > 0
            assert all(
                e.credit == BURN
                for e in world.kernel.treasury.ledger.journal
                if e.reason.startswith("reorg.")
            )
        assert all(
            e.debit == ISSUANCE
            for e in world.kernel.treasury.ledger.journal
            if not e.reason.startswith("reorg.")
        )

    def test_resync_off_and_chain_only(self, tiny):
        slow = {
            "consensus__kind": "pow",
            "consensus__difficulty": 1,
            "network__link_bytes_per_s": 2_000.0,
            "rounds": 4,
        }
        off = play(tiny(chain__resync="off", **slow))
        assert not frames(off)["participants"]["resynced"].any()
        assert frames(off)["rounds"]["heads"].iloc[-1] > 1
        only = play(tiny(chain__resync="chain-only", **slow))
        assert frames(only)["participants"]["resynced"].any()
        journal = only.kernel.treasury.ledger.journal
        assert not any(e.reason.startswith("reorg.") for e in journal)

    def test_a_device_that_was_away_catches_up(self, tiny):
        world = World(tiny(rounds=1))
        forks = world.protocol.game.forks
        others = []
        for _ in range(3):
            before = forks.state(0)
            world.step()
            others.append(forks.state(1))
            if forks.state(0) is not before:
                forks.adopt(0, before, world.kernel.clock.time_s)
        assert world.kernel.treasury.balance(0) == 0
        world.step()
        assert forks.state(0).id in {s.id for s in forks.state(1).lineage()}
        leave, apply = branches(before, forks.state(0))
        assert leave == []
        paid = sum(x.amount for s in apply for x in s.payments.get(0, ()))
        assert world.kernel.treasury.balance(0) == paid

    @pytest.mark.parametrize(
        ("payment", "message"),
        [
            ("Payment(999, 5, 'x')", "pays device 999"),
            ("Payment(-1, 5, 'x')", "pays device -1"),
            ("Payment(0, 5.0, 'x')", "integer of base units"),
            ("Payment(0, -5, 'x')", "integer of base units"),
            (
                "Payment(0, 5, 'x', payer='device:1')",
                "only 'issuance' and its own accounts can pay",
            ),
            ("Payment(0, 5, 'x', payer=1)", "only 'issuance' and its own accounts can pay"),
            ("Payment('treasury', 5, 'x')", "no account of its own"),
        ],
    )
    def test_payments_that_cannot_be_made_stop_the_run(self, tiny, tmp_path, payment, message):
        path = tmp_path / "rule.py"
        path.write_text(
            "from mechanisms.payouts.base import PayoutRule\n"
            "from mechanisms.vocabulary import Payment, Settlement\n"
            "class Rule(PayoutRule):\n"
            "    name = summary = reference = 'rule'\n"
            f"    def settle(self, block):\n        return Settlement(({payment},))\n"
        )
        with pytest.raises(PluginFailedError, match=message):
            play(tiny(payout__mechanism=f"{path}:Rule"))

    def test_a_rule_is_shown_what_it_observes_and_nothing_else(self, tiny, tmp_path):
        path = tmp_path / "rule.py"
        path.write_text(
            "from mechanisms.payouts.base import PayoutRule\n"
            "import pytest\n"
            "from mechanisms.vocabulary import HiddenError, Payment, Settlement\n"
            "class Blind(PayoutRule):\n"
            "    name = summary = reference = 'blind'\n"
            "    def settle(self, block):\n"
            "        assert block.records\n"
            "        for name in ('claimed_samples', 'claimed_epochs', 'positive', 'negative'):\n"
            "            with pytest.raises(HiddenError):\n"
            "                getattr(block.records[0], name)\n"
            "        accepted = [r.worker for r in block.records if r.accepted]\n"
            "        return Settlement(tuple(Payment(w, 1, 'x') for w in accepted))\n"
            "class Seeing(Blind):\n"
            "    observes = frozenset({'votes', 'claims'})\n"
            "    def settle(self, block):\n"
            "        for r in block.records:\n"
            "            assert r.claimed_samples and r.claimed_epochs\n"
            "            assert r.positive + r.negative\n"
            "        return Settlement()\n"
        )
        blind = play(tiny(payout__mechanism=f"{path}:Blind"))
        accepted = frames(blind)["rounds"]["accepted_honest"].sum()
        assert sum(e.amount for e in blind.kernel.treasury.ledger.journal) == accepted > 0
        play(tiny(payout__mechanism=f"{path}:Seeing"))


class TestTime:
    def test_the_clock_follows_the_cost_model(self, tiny):
        """One worker, one validator, one miner: every duration by hand."""
        scenario = tiny(
            rounds=1,
            devices=3,
            roles__params={"counts": "1,1,1"},
            network__link_bytes_per_s=1_000.0,
            network__compute_samples_per_s=10.0,
        )
        world = play(scenario)
        f = frames(world)
        votes, blocks, rounds = f["votes"].iloc[0], f["blocks"].iloc[0], f["rounds"].iloc[0]
        samples = {
            p.device: len(world.protocol.game.bench.split.train[p.device])
            for p in world.kernel.population
        }
        update = world.protocol.game.bench.engine.size * 4
        arrive = samples[votes.worker] * 1 / 10 + update / 1_000
        begin = max(arrive, samples[votes.validator] / 10)
        cast = begin + len(world.protocol.game.bench.split.validation[votes.validator][1]) / 3 / 10
        assert votes.time_s == pytest.approx(cast)
        vote_bytes = len(b"vote") + 25 + 32 + 64
        generated = cast + (update + vote_bytes) / 1_000
        assert blocks.generated_s == pytest.approx(generated)
        assert rounds.end_s == pytest.approx(generated + blocks.size_bytes / 1_000)

    def test_wall_time_decides_nothing(self, tiny, monkeypatch):
        import time

        expected = tables_bytes(play(tiny()))
        ticks = iter(range(10**9))
        monkeypatch.setattr(time, "time", lambda: next(ticks))
        monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
        assert tables_bytes(play(tiny())) == expected

    def test_deadlines_cut(self, tiny):
        full = frames(play(tiny(network__compute="uniform")))["votes"]["time_s"]
        cut = float(full.groupby(full.index // 8).median().min())
        late = frames(play(tiny(network__compute="uniform", deadlines__validator_s=cut)))
        assert (late["votes"]["status"] == "late").any()
        assert (late["votes"]["status"] == "counted").any()
        few = frames(play(tiny(network__compute="uniform", deadlines__miner_s=cut)))
        assert (few["votes"]["status"] == "unused").any()
        blocks = few["blocks"].merge(few["rounds"][["round", "start_s"]])
        assert (blocks["generated_s"] <= blocks["start_s"] + cut + 1e-9).all()
        assert frames(play(tiny(deadlines__block_s=1e-6)))["rounds"]["winner"].isna().all()

    def test_fifo_validators_take_longer_than_parallel_ones(self, tiny):
        queue, together = (
            frames(play(tiny(rounds=1, network__validator_queue=q)))["votes"]["time_s"].max()
            for q in ("fifo", "parallel")
        )
        assert queue > together

    def test_offline_devices_neither_act_nor_receive(self, tiny):
        world = play(
            tiny(
                rounds=6,
                availability__kind="per-round",
                availability__online=0.6,
                chain__resync="off",
            )
        )
        people = frames(world)["participants"]
        gone = people[~people["online"]]
        assert len(gone) > 0
        assert (gone["income"] == 0).all()
        assert gone["accepted"].isna().all()
        before = people.assign(round=people["round"] + 1)[["round", "device", "head"]]
        same = gone.merge(before, on=["round", "device"], suffixes=("", "_before"))
        assert (same["head"].astype(str) == same["head_before"].astype(str)).all()

    def test_a_round_without_anybody_waits_for_somebody(self, tiny):
        """All but one device are away for good: the clock must not stand still."""
        away = {
            "availability__kind": "alternating",
            "availability__mean_online_s": 1.0,
            "availability__mean_offline_s": 500.0,
        }
        rounds = frames(play(tiny(rounds=12, network__compute_samples_per_s=10.0, **away)))[
            "rounds"
        ]
        assert (rounds["duration_s"] > 0).all()
        assert (rounds["online"] == 0).any()

    def test_what_is_too_late_does_not_make_the_round_longer(self, tiny):
        """Very slow devices: without deadlines everybody waits for them, with them nobody does."""
        slow = {"network__compute": "lognormal", "network__compute_sigma": 2.0, "rounds": 6}
        patient = frames(play(tiny(**slow)))["rounds"]
        cut = float(patient["duration_s"].median()) / 20
        hasty = frames(
            play(
                tiny(
                    **slow,
                    deadlines__validator_s=cut,
                    deadlines__miner_s=2 * cut,
                    deadlines__block_s=3 * cut,
                )
            )
        )
        won = hasty["rounds"][hasty["rounds"]["winner"].notna()]
        assert len(won) > 0
        blocks = hasty["blocks"][hasty["blocks"]["status"] == "adopted"]
        longest_download = blocks["size_bytes"].max() / 70_000
        assert (won["duration_s"] <= 3 * cut + longest_download + 1e-9).all()

    def test_validators_wait_no_longer_than_their_deadline(self, tiny):
        """With `validator_s` alone: what cannot be there by then holds nobody up.

        Nobody closes before it either.
        """
        slow = {"network__compute": "lognormal", "network__compute_sigma": 2.0, "rounds": 6}
        patient = frames(play(tiny(**slow)))["rounds"]["block_time_s"]
        cut = float(patient.min()) / 20
        hasty = frames(play(tiny(**slow, deadlines__validator_s=cut)))
        late = hasty["votes"].groupby("round")["status"].agg(lambda s: (s == "late").any())
        assert late.any()
        assert (hasty["rounds"]["block_time_s"] < patient / 2).any()
        assert (hasty["rounds"].set_index("round")["block_time_s"][late] >= cut - 1e-9).all()

    def test_a_server_waits_until_its_deadline_and_no_longer(self, tiny):
        slow = {"network__compute": "lognormal", "network__compute_sigma": 2.0, "rounds": 3}
        full = frames(play(tiny("fedavg", **slow)))["rounds"]
        assert (full["accepted_honest"] == 8).all()
        cut = float(full["duration_s"].min()) / 10
        some = frames(play(tiny("fedavg", **slow, deadlines__validator_s=cut)))["rounds"]
        assert (some["accepted_honest"] < 8).all()
        assert (some["accepted_honest"] > 0).any()
        assert (some["duration_s"] >= cut).all()
        none = frames(play(tiny("fedavg", **slow, deadlines__validator_s=1e-4)))["rounds"]
        assert (none["accepted_honest"] == 0).all()
        np.testing.assert_allclose(none["duration_s"], 1e-4)

    def test_nobody_acts_before_it_has_fetched_its_chain(self, tiny):
        early, fetched = [], 0
        append = Adoption._append

        def watch(self, device, block):
            nonlocal fetched
            fetched += device in self.plan.resynced
            early.append(self.plan.clock.now < self.plan.ready_s.get(device, 0.0))
            append(self, device, block)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Adoption, "_append", watch)
            # With seed 1 blocks reach devices that are still fetching: they must wait.
            for kind, seed in itertools.product(("pos", "pow"), (0, 1)):
                play(
                    tiny(
                        seed=seed,
                        rounds=12,
                        **{"consensus__kind": kind} | EASY[kind],
                        network__link_bytes_per_s=2_000.0,
                        availability__kind="per-round",
                        availability__online=0.6,
                    )
                )
        assert fetched > 10
        assert not any(early)

    def test_a_block_deadline_holds_for_proof_of_work(self, tiny):
        work = {"consensus__kind": "pow", "consensus__difficulty": 4, "rounds": 6}
        free = frames(play(tiny(**work)))["rounds"]
        assert free["winner"].notna().all()
        deadline = float(free["block_time_s"].median())
        cut = frames(play(tiny(**work, deadlines__block_s=deadline)))
        assert cut["rounds"]["winner"].isna().any()
        assert cut["rounds"]["winner"].notna().any()
        times = cut["blocks"].merge(cut["rounds"][["round", "start_s"]])
        assert (times["generated_s"] <= times["start_s"] + deadline + 1e-9).all()

    def test_journal_time_never_runs_backwards(self, tiny):
        world = play(
            tiny(
                rounds=8,
                consensus__kind="pow",
                consensus__difficulty=1,
                network__link_bytes_per_s=2_000.0,
                availability__kind="alternating",
                availability__mean_online_s=5.0,
                availability__mean_offline_s=2.0,
            )
        )
        times = [e.time_s for e in world.kernel.treasury.ledger.journal]
        assert times == sorted(times)
        assert frames(world)["participants"]["resynced"].any()


class TestReproducibility:
    @pytest.mark.parametrize("preset", ["vbfl", "vbfl-published", "fedavg"])
    def test_same_seed_same_tables(self, tiny, preset):
        first, second = (tables_bytes(play(tiny(preset))) for _ in range(2))
        assert first == second
        assert tables_bytes(play(tiny(preset, seed=1))) != first

    def test_changing_the_payout_leaves_every_other_draw_as_it_was(self, tiny):
        """Paired comparison: votes, roles and accuracies do not feel who is paid.

        Initial stakes are equal.
        """
        paid = frames(play(tiny(consensus__kind="pow")))
        unpaid = frames(play(tiny(consensus__kind="pow", payout__mechanism="none")))
        assert paid["votes"].equals(unpaid["votes"])
        columns = ["round", "device", "role", "accuracy", "miner", "validator"]
        assert paid["participants"][columns].equals(unpaid["participants"][columns])

    def test_changing_one_devices_behaviour_leaves_the_others_draws(self, tiny):
        base = frames(play(tiny(rounds=1)))
        other = frames(play(tiny(rounds=1, adversaries__0__devices=[2], adversaries__0__count=0)))
        columns = ["device", "role", "miner", "validator", "samples"]
        assert base["participants"][columns].equals(other["participants"][columns])
        a, b = (f["votes"][f["votes"]["worker"] != 2].reset_index(drop=True) for f in (base, other))
        assert a["update_accuracy"].equals(b["update_accuracy"])

    def test_worlds_are_not_kept_alive(self, tiny):
        before = len(getattr(mesa.Agent, "_ids", {}))
        world = World(tiny(rounds=1))
        world.step()
        world.close()
        alive = weakref.ref(world)
        del world
        gc.collect()
        assert alive() is None
        assert len(getattr(mesa.Agent, "_ids", {})) <= before


class TestFedavg:
    def test_everybody_trains_and_the_mean_wins(self, tiny):
        world = play(tiny("fedavg", rounds=2))
        f = frames(world)
        assert (f["participants"]["role"] == "worker").all()
        assert (f["rounds"]["accepted_honest"] == 8).all()
        assert "votes" not in f
        assert "blocks" not in f
        assert not world.kernel.treasury.ledger.journal

    def test_the_aggregate_is_the_plain_mean(self, tiny):
        world = World(tiny("fedavg", rounds=1))
        kept = []
        original = averaging.do_local_work

        def spy(*args, **how):
            kept.append(original(*args, **how))
            return kept[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(averaging, "do_local_work", spy)
            world.step()
        model = world.protocol.game.bench.models[world.protocol.game.forks.state(0).model]
        np.testing.assert_allclose(model, kept[0].updates.mean(0), atol=1e-6)

    def test_a_server_pays_when_told_to(self, tiny):
        world = play(tiny("fedavg", payout__mechanism="vbfl", rounds=2))
        assert {e.reason for e in world.kernel.treasury.ledger.journal} == {"reward.worker"}

    def test_the_server_does_not_forget_what_absent_devices_missed(self, tiny):
        """Its model goes on from round to round, and a device that comes back begins with it."""
        world = World(
            tiny(
                "fedavg",
                rounds=8,
                payout__mechanism="vbfl",
                availability__kind="per-round",
                availability__online=0.5,
            )
        )
        forks, bench = world.protocol.game.forks, world.protocol.game.bench
        heights = []
        for _ in world.run():
            server = forks.head
            heights.append(server.height)
            assert forks.canonical() is server
            rounds = world.kernel.recorder.tables()["rounds"]
            rows, digests = [bench.models[server.model]], [bench.models.digest(server.model)]
            assert rounds["accuracy"][-1].as_py() == bench.test(rows, digests).accuracy[0]
            for p in world.kernel.population:
                assert forks.state(p.device).id in {s.id for s in server.lineage()}, (
                    "nobody is on a model of its own"
                )
                assert world.kernel.treasury.balance(p.device) == earned(world, p.device)
        assert heights == sorted(heights)
        assert heights[-1] >= 7
        assert not any(e.reason.startswith("reorg.") for e in world.kernel.treasury.ledger.journal)
        assert [e.time_s for e in world.kernel.treasury.ledger.journal] == sorted(
            e.time_s for e in world.kernel.treasury.ledger.journal
        )


class TestLiveModelAlias:
    def scenario(self, tiny, **more):
        """Nobody ever publishes a block: every device keeps what it used last."""
        mute = {
            "adversaries__0__count": 8,
            "adversaries__0__worker": "honest",
            "adversaries__0__miner": "withhold",
        }
        return tiny("vbfl-published", **mute, **more)

    @pytest.mark.parametrize("resync", ["off", "replay", "chain-only"])
    def test_devices_without_a_block_drift_apart(self, tiny, resync):
        world = play(self.scenario(tiny, chain__resync=resync, chain__check_links=True))
        forks, models = world.protocol.game.forks, world.protocol.game.bench.models
        assert len({models.digest(holding.model) for holding in forks}) >= 4
        assert {holding.state.height for holding in forks} == {0}

    def test_the_first_block_ends_it(self, tiny):
        world = World(tiny("vbfl-published", rounds=2))
        world.step()
        forks = world.protocol.game.forks
        assert all(holding.live_model is None for holding in forks if holding.state.height)

    def test_a_validator_holds_the_last_update_it_judged(self, tiny):
        world = World(self.scenario(tiny))
        world.step()
        votes = frames(world)["votes"]
        for validator, cast in votes.groupby("validator"):
            last = cast.sort_values(["time_s", "worker"])["worker"].iloc[-1]
            forks, models = world.protocol.game.forks, world.protocol.game.bench.models
            mine, its = (forks[device].model for device in (validator, last))
            assert models.digest(mine) == models.digest(its)

    def test_a_checkpoint_keeps_it(self, tiny):
        whole = play(self.scenario(tiny))
        half = World(self.scenario(tiny))
        half.step()
        resumed = World(self.scenario(tiny))
        resumed.restore(*half.to_state())
        for _ in resumed.run():
            pass
        assert tables_bytes(resumed) == tables_bytes(whole)


def test_a_disconnected_graph_plays_on_in_its_parts(tiny):
    edges = [[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [6, 7]]
    world = play(tiny(rounds=5, network__topology="edges", network__edges=edges))
    heads = {d: holding.state.head for d, holding in enumerate(world.protocol.game.forks)}
    assert len(set(heads.values())) > 1
    assert frames(world)["participants"]["miner"].notna().any()


def test_epoch_log(tiny):
    world = play(
        tiny(rounds=2, training__epochs=3, record__epoch_accuracy=True, record__local_accuracy=True)
    )
    epochs = frames(world)["epochs"]
    assert (epochs.groupby(["round", "device"]).size() == 3).all()
    last = epochs[epochs["epoch"] == 3].set_index(["round", "device"])["accuracy"]
    people = frames(world)["participants"].set_index(["round", "device"])["local_accuracy"].dropna()
    assert last.sort_index().equals(
        people.sort_index().rename("accuracy").loc[last.sort_index().index]
    )
