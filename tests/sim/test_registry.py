"""Versions of the model: hash-linked, published by those who may, restored after a collapse."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.chain.versions import FIRST, Kept, Version, verify, worth_restoring
from sim.learning.engine import row_digest
from sim.world import World

ACCURACIES = st.lists(st.integers(0, 100).map(lambda k: k / 100), min_size=1, max_size=8)
COLLAPSE = {
    "rounds": 10,
    "data__params": {"train": 800, "separation": 8.0},
    "adversaries__0__count": 2,
    "adversaries__0__worker": "sign-flip",
    "adversaries__0__worker_params": {"factor": 30.0},
}
ACCEPTING = {"vbfl": {"validation__rule": "accept-all"}, "fedavg": {}}
"""Where nobody validates, all updates are accepted anyway."""
FORKS = {"consensus__kind": "pow", "consensus__difficulty": 1, "network__link_bytes_per_s": 2_000.0}


def play(scenario):
    world = World(scenario)
    for _ in world.run():
        pass
    world.close()
    return world


def frame(world, table):
    return world.kernel.recorder.tables()[table].to_pandas()


def chain(accuracies):
    versions, parent = [], FIRST
    for i, accuracy in enumerate(accuracies):
        versions.append(Version(parent, bytes([i]) * 32, bytes([i + 1]) * 32, i, i % 3, accuracy))
        parent = versions[-1].id
    return versions


class TestVersions:
    @given(ACCURACIES)
    def test_a_chain_of_versions_verifies(self, accuracies):
        versions = chain(accuracies)
        assert verify(versions, versions[-1].id)
        assert not verify(versions[:-1], versions[-1].id)
        assert len(versions) == 1 or not verify(versions[1:], versions[-1].id)
        assert [Version.from_plain(v.to_plain()) for v in versions] == versions

    @pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Version)])
    @pytest.mark.parametrize("where", [0, 1, 2])
    def test_tampering_with_any_field_breaks_it(self, field, where):
        versions = chain([0.1, 0.5, 0.9])
        newest = versions[-1].id
        value = getattr(versions[where], field)
        other = b"\7" * 32 if isinstance(value, bytes) else value + 1
        versions[where] = dataclasses.replace(versions[where], **{field: other})
        assert not verify(versions, newest)

    def test_fields_cannot_be_shifted_into_each_other(self):
        a = Version(b"", b"\1" * 32, b"", 0, 0, 0.5)
        b = Version(b"\1" * 32, b"", b"", 0, 0, 0.5)
        assert a.id != b.id

    def test_a_rollback_restores_a_version_with_the_same_weights(self):
        first, bad = chain([0.9, 0.1])
        back = Version(bad.id, first.weights, bad.block, 1, 0, 0.9, first.id)
        assert verify([first, bad, back], back.id)
        for wrong in (
            dataclasses.replace(back, weights=bad.weights),
            dataclasses.replace(back, restores=b"\7" * 32),
        ):
            assert not verify([first, bad, wrong], wrong.id)


class TestWhenToRestore:
    @given(
        ACCURACIES,
        st.integers(0, 100).map(lambda k: k / 100),
        st.integers(1, 100).map(lambda k: k / 100),
    )
    def test_the_best_comes_back_exactly_when_the_drop_is_larger(self, accuracies, new, drop):
        kept = [Kept(v, i) for i, v in enumerate(chain(accuracies))]
        found = worth_restoring(kept, new, drop)
        assert (found is not None) == (
            round(100 * max(accuracies)) - round(100 * new) > round(100 * drop)
        )
        if found:
            assert found.version.accuracy == max(accuracies)
            assert found.model == max(i for i, a in enumerate(accuracies) if a == max(accuracies))

    def test_never_without_a_drop_or_an_accuracy(self):
        kept = [Kept(chain([0.9])[0], 0)]
        assert worth_restoring(kept, 0.0, 0.0) is None
        assert worth_restoring(kept, math.nan, 0.1) is None


class TestRuns:
    def test_off_by_default(self, tiny):
        world = play(tiny())
        assert "versions" not in world.kernel.recorder.tables()
        assert world.protocol.game.forks.canonical().kept == ()

    @pytest.mark.parametrize("preset", ["vbfl", "fedavg"])
    def test_recording_changes_nothing_and_tells_every_model(self, tiny, preset):
        plain, told = play(tiny(preset)), play(tiny(preset, versions__record=True))
        for name, table in plain.kernel.recorder.tables().items():
            assert told.kernel.recorder.tables()[name] == table
        versions = frame(told, "versions")
        assert versions["height"].tolist() == [0, 1, 2, 3]
        assert set(versions["status"]) == {"released"}
        canonical, bench = told.protocol.game.forks.canonical(), told.protocol.game.bench
        chained = [v for s in list(canonical.lineage())[::-1] for v in s.versions]
        assert verify(chained, bytes.fromhex(versions["version"].iloc[-1]))
        model = bench.models[canonical.model]
        assert chained[-1].weights == row_digest(model)
        assert versions["held_out_accuracy"].iloc[-1] == bench.held_out_accuracy(model[None])[0]
        assert versions["author"].isna().sum() == (4 if preset == "fedavg" else 1)

    def test_without_held_out_samples_accuracies_are_unknown(self, tiny):
        world = play(tiny("vbfl-published", versions__record=True, data__validation_fraction=0.0))
        assert frame(world, "versions")["held_out_accuracy"].isna().all()

    @pytest.mark.parametrize("preset", ["vbfl", "fedavg"])
    def test_rollback_defends_against_an_attack_that_collapses_the_model(self, tiny, preset):
        fallen, defended = (
            play(tiny(preset, **COLLAPSE, **ACCEPTING[preset], versions__rollback_drop=drop))
            for drop in (0.0, 0.1)
        )
        start = frame(defended, "versions")["held_out_accuracy"].iloc[0]
        assert frame(fallen, "rounds")["accuracy"].iloc[-1] < 0.1
        game = defended.protocol.game
        model = game.bench.models[game.forks.canonical().model]
        assert game.bench.held_out_accuracy(model[None])[0] >= start
        if preset == "vbfl":  # rounds whose workers are all honest get through
            assert frame(defended, "rounds")["accuracy"].iloc[-1] > 0.9

    def test_the_model_that_counts_is_the_one_restored(self, tiny):
        world = play(tiny(**COLLAPSE, **ACCEPTING["vbfl"], versions__rollback_drop=0.1))
        versions = frame(world, "versions")
        back = versions[versions["status"] == "rollback"]
        assert len(back) > 2
        weights = versions.set_index("version")["weights"]
        assert [weights[r] for r in back["restores"]] == back["weights"].tolist()
        chained = [
            v
            for s in list(world.protocol.game.forks.canonical().lineage())[::-1]
            for v in s.versions
        ]
        assert verify(chained, chained[-1].id)
        for state in world.protocol.game.forks.canonical().lineage():
            assert not state.kept or state.kept[-1].model == state.model
        assert chained[-1].weights == world.protocol.game.bench.models.digest(
            world.protocol.game.forks.canonical().model
        )

    def test_only_as_many_models_are_held_as_may_come_back(self, tiny):
        scenario = tiny(
            **COLLAPSE, **ACCEPTING["vbfl"], versions__rollback_drop=0.1, versions__keep=3
        )
        world = World(scenario)
        for _ in world.run():
            states = [holding.state for holding in world.protocol.game.forks]
            kept = {k.model for state in states for k in state.kept}
            assert all(len(state.kept) <= 3 for state in states)
            assert all(np.isfinite(world.protocol.game.bench.models[m]).all() for m in kept)
            assert len(world.protocol.game.bench.models._rows) <= 3 + 2

    def test_blocks_of_unauthorised_publishers_are_refused_by_all(self, tiny):
        world = play(tiny(rounds=8, versions__publishers=[1, 2, 6]))
        blocks = frame(world, "blocks")
        by_right = blocks["miner"].isin([1, 2, 6])
        assert (blocks.loc[~by_right, "adopters"] == 0).all()
        assert not by_right.all()
        assert (blocks.loc[by_right, "status"] == "adopted").any()
        assert all(
            s.miner in (-1, 1, 2, 6)
            for holding in world.protocol.game.forks
            for s in holding.state.lineage()
        )

    @pytest.mark.parametrize(
        ("preset", "changes"),
        [
            ("vbfl", {}),
            ("vbfl", FORKS),
            ("fedavg", {"availability__kind": "per-round", "availability__online": 0.6}),
        ],
        ids=["pos", "forks", "fedavg"],
    )
    def test_resuming_is_the_same_as_never_stopping(self, tiny, preset, changes):
        scenario = tiny(
            preset,
            **{**COLLAPSE, **ACCEPTING[preset], "rounds": 7},
            versions__rollback_drop=0.1,
            versions__keep=3,
            **changes,
        )
        whole = play(scenario)
        assert (frame(whole, "versions")["status"] == "rollback").any()
        for stop in (1, 3, 5):
            half, resumed = World(scenario), World(scenario)
            for _ in range(stop):
                half.step()
            resumed.restore(*half.to_state())
            for _ in resumed.run():
                pass
            assert resumed.kernel.recorder.tables() == whole.kernel.recorder.tables()
            assert resumed.kernel.treasury.ledger.journal == whole.kernel.treasury.ledger.journal
