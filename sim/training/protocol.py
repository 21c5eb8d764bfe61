"""The base of every protocol that trains models in rounds."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sim import scenario as scenarios
from sim.notes import Declaration
from sim.protocol import Outcome, Protocol, Table, Tape, Trait
from sim.recording import Columns, History
from sim.training import declared, tables
from sim.training.scenario import TrainingScenario

if TYPE_CHECKING:
    from sim.chain.forks import ServerChain
    from sim.kernel import Kernel
    from sim.training.game import TrainingGame
    from sim.training.workbench import Workbench

EXAMPLE = {
    "rounds": 4,
    "devices": 8,
    "data": {
        "dataset": "synthetic",
        "params": {"train": 160, "test": 60, "features": 6, "classes": 3},
        "partition": "iid",
        "validation_fraction": 0.25,
    },
    "model": {"name": "softmax"},
    "training": {"epochs": 1, "learning_rate": 0.1},
}
"""Keys of a run that trains a small model in milliseconds a round."""
AUDITED: dict[str, Any] = {
    "rounds": 8,
    "devices": 14,
    "data": {
        "dataset": "digits",
        "partition": "dirichlet",
        "alpha": 1.0,
        "validation_fraction": 0.2,
    },
    "model": {"name": "mlp", "params": {"hidden": [16]}},
    "training": {"learning_rate": 0.1},
    "costs": {"compute_per_s": 300.0},
    "payout": {"initial_balance": 60_000},
}
"""Keys of a run of half a second in which rules are audited."""


class TrainingProtocol(Protocol):
    """Base of protocols that train: it builds the services and keeps what lasts beyond a round.

    Subclasses play the round.
    """

    Scenario: ClassVar[type[scenarios.Scenario]] = TrainingScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        "rounds": tables.ROUNDS,
        "participants": tables.PARTICIPANTS,
        **tables.SHARED,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = declared.OUTCOMES
    notes: ClassVar[tuple[Declaration, ...]] = (declared.ROLES, declared.VERSIONS)
    tape: ClassVar[Tape | None] = declared.TAPE
    shut_out: ClassVar[str] = "role is null and online"
    traits: ClassVar[Mapping[str, Trait]] = {
        "slow": Trait(
            {"network.compute": "lognormal", "network.compute_sigma": 1.0},
            "median(samples * epochs / compute_s) filter (compute_s > 0 and epochs > 0)",
        ),
        "little data": Trait({"data.partition": "quantity", "data.alpha": 1.0}, "max(samples)"),
        "often offline": Trait(
            {"availability.kind": "per-round", "availability.online": 0.7}, "avg(online::int)"
        ),
    }

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        self.game = self.build(kernel)

    @abstractmethod
    def build(self, kernel: Kernel) -> TrainingGame:
        """Return the services that the rounds use."""

    @abstractmethod
    def play_round(self) -> None:
        """Play and record one round."""

    def play(self) -> None:
        """Play one round and forget what nobody needs any more."""
        self.begin_round()
        self.play_round()
        self.end_round()

    def begin_round(self) -> None:
        """Note what devices hold now."""
        self.game.begin_round()

    def end_round(self) -> None:
        """Forget what nobody needs after a round."""
        game = self.game
        game.reduced.record()
        game.replace_fallen()
        game.bench.end_round(game.forks.models_in_use())
        game.forks.book.forget()

    def close(self) -> None:
        """Record the versions of the canonical chain, and finish the tape."""
        from sim.training.record import version_rows
        from sim.training.tape import mark_tape, opening_row

        game, recorder = self.game, self.kernel.recorder
        recorder.add("versions", version_rows(game.forks.canonical()))
        if recorder.records("tape"):
            mark_tape(recorder, game.forks)
            bench = game.bench
            recorder.add(
                "opening", [opening_row(bench.balances, bench.dataset, bench.utility_samples)]
            )

    def facts(self) -> dict[str, Any]:
        """Return engine and size of the models, samples left over, and the canonical head."""
        engine = self.game.bench.engine
        return {
            "trainer": engine.trainer,
            "parameters": engine.size,
            "training_samples": len(self.game.bench.dataset.y_train),
            "unused_samples": self.game.bench.unused_samples(),
            "head": self.game.forks.canonical().head.hex(),
        }

    # --- checkpoints --------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return who holds which chain, and the models in use by key."""
        game = self.game
        in_use = sorted(game.forks.models_in_use())
        arrays = {str(key): game.bench.models[key] for key in in_use}
        return {"forks": game.forks.to_state(), "sent": game.sent}, arrays

    def history(self, after: int) -> History:
        """Return the states of chains that were added after a mark."""
        return self.game.forks.history(after)

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Continue from `state` and all states of chains in its `history`."""
        models, shape = self.game.bench.models, (self.game.bench.engine.size,)
        keys = {}
        for key, row in arrays.items():
            if row.shape != shape or row.dtype != np.float32:
                kind = f"{row.dtype} and shape {row.shape}"
                raise ValueError(f"model {key} is of type {kind}, not float32 and {shape}")
            keys[int(key)] = models.add(row)
        self.game.forks.restore(state["forks"], state["history"], keys)
        self.game.sent = list(map(int, state["sent"]))

    @classmethod
    def recorded(cls, scenario: scenarios.Scenario) -> Mapping[str, Table]:
        """Return the tables of a run: some only where the scenario asks for them."""
        assert isinstance(scenario, TrainingScenario)
        wanted = {
            "epochs": scenario.record.epoch_accuracy,
            "versions": scenario.versions.on,
            "tape": scenario.record.tape,
            "opening": scenario.record.tape,
            "outages": bool(scenario.availability.outages),
        }
        return {name: t for name, t in cls.all_tables().items() if wanted.get(name, True)}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Return a run of a small model on generated data."""
        return {"protocol": cls.name, **EXAMPLE}

    @classmethod
    def audited(cls) -> dict[str, Any]:
        """Return a run on digits that are dealt unequally, in which computing costs something."""
        example = {key: value for key, value in cls.example().items() if key != "adversaries"}
        return {**example, **AUDITED, "payout": {**AUDITED["payout"], **example.get("payout", {})}}


class ServedProtocol(TrainingProtocol):
    """Base of protocols in which a server, or a contract, holds the chain that counts.

    Subclasses play the round.
    """

    least: ClassVar[int] = 1
    """Devices that the payout rule must let take part."""

    def build(self, kernel: Kernel) -> TrainingGame:
        from sim.chain.forks import ServerChain
        from sim.network import Links
        from sim.training.game import TrainingGame

        scenario = kernel.scenario
        assert isinstance(scenario, TrainingScenario)
        links = Links(scenario.network, scenario.devices, kernel.streams)
        game = TrainingGame(kernel, scenario, links, ServerChain, self.bench())
        game.require_members(self.least)
        return game

    def bench(self) -> type[Workbench]:
        """Return how samples are held and updates are measured."""
        from sim.training.workbench import Workbench

        return Workbench

    @property
    def chain(self) -> ServerChain:
        """What the server holds."""
        from sim.chain.forks import ServerChain

        chain = self.game.forks
        assert isinstance(chain, ServerChain)
        return chain
