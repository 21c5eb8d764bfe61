"""The data market as a protocol: what it declares, and its slices of time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sim import scenario as scenarios
from sim.notes import Declaration, Note
from sim.population.utility import Stakes
from sim.protocol import Outcome, Protocol, Table, Tape
from sim.protocols.market import tables as declared
from sim.protocols.market.settings import MarketScenario
from sim.recording import Columns

if TYPE_CHECKING:
    from sim.kernel import Kernel
    from sim.protocols.market.books import Counted


class Market(Protocol):
    """A market for labelled samples that train an on-line model.

    Harris and Waggoner 2019, arXiv:1907.07247: people add data to a model on a chain, and an
    incentive mechanism decides what that costs and who is paid.
    """

    name = "market"
    summary = "contributors add labelled samples to an on-line model and are paid by a market rule"
    reference = "Harris and Waggoner 2019, arXiv:1907.07247; Harris 2020, arXiv:2009.06756"
    Scenario: ClassVar[type[scenarios.Scenario]] = MarketScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        "rounds": declared.ROUNDS,
        "participants": declared.PARTICIPANTS,
        **declared.OWN,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = declared.OUTCOMES
    notes: ClassVar[tuple[Declaration, ...]] = (
        Note(
            "data",
            "submissions",
            {"device": "device", "sample": "sample", "label": "label", "datum": "datum"},
            present=("datum",),
        ),
    )
    tape = Tape(("trace",), "markets", "experiments.offpolicy_market:compare_markets")
    open_ended = False

    def __init__(self, kernel: Kernel) -> None:
        from sim.protocols.market.market import DataMarket
        from sim.protocols.market.play import Play

        super().__init__(kernel)
        scenario = kernel.scenario
        assert isinstance(scenario, MarketScenario)
        self.market = DataMarket(kernel, scenario)
        self.game = Play(self.market)
        self._locked: dict[int, int] = {}

    def play(self) -> None:
        """Play a slice of time; the last one goes on until nothing can happen any more."""
        market, game, kernel = self.market, self.game, self.kernel
        start_s = kernel.clock.time_s
        end_s = start_s + market.scenario.market.slice_s
        game.begin_round()
        if kernel.clock.round == 1:
            game.begin()
        game.until(math.inf if kernel.last_round else end_s)
        if kernel.last_round and not game.done:
            game.finish()
        kernel.clock.time_s = max(market.now_s, end_s)
        kernel.treasury.check()
        self._record(start_s)

    def _record(self, start_s: float) -> None:
        """Record the slice of time, and let learners know what it was worth."""
        market, kernel = self.market, self.kernel
        counted = market.books.counted()
        own = {
            "offered": counted.offered.total(),
            "accepted": counted.accepted.total(),
            "refunds": counted.claims["refund"],
            "reports": counted.claims["report"],
            "sweeps": counted.claims["sweep"],
            "collected": counted.claims["collect"],
            "queries": counted.queries,
            "deposited": counted.deposited,
            "open": len(market.open),
            "left": market.last - market.next_row,
            "accuracy": market.accuracy,
        }
        kernel.record_round(start_s, own)
        online = [trader.device for trader in self.game.traders if trader.present]
        locked = market.locked()
        stakes = Stakes(locked=locked, locked_before=self._locked)
        utilities = kernel.record_participants(online, stakes, self._columns(counted))
        kernel.population.learners.observe(utilities)
        self._locked = dict(locked)

    def _columns(self, counted: Counted) -> dict[int, dict[str, Any]]:
        """Return the protocol's own columns of `participants` by device."""
        market, books = self.market, self.market.books
        standing = market.standing()
        columns = {}
        for p in market.people:
            columns[p.device] = {
                "percent": books.percent(p.device),
                "offered": counted.offered[p.device],
                "accepted": counted.accepted[p.device],
                "standing": standing.get(p.device, 0),
            }
        return columns

    def facts(self) -> dict[str, Any]:
        """Return the digest of the last model, and what the same model would have learned."""
        market = self.market
        return {
            "model": market.model.digest(),
            "baseline_accuracy": market.baseline(),
            "ran_out": market.ran_out,
        }

    # --- checkpoints --------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        values, arrays = self.market.to_state()
        locked = {str(device): amount for device, amount in self._locked.items()}
        return {**values, **self.game.to_state(), "locked": locked}, arrays

    def restore(self, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._locked = {int(d): amount for d, amount in state["locked"].items()}
        self.market.restore(state, arrays)
        self.game.restore(state)

    @classmethod
    def recorded(cls, scenario: scenarios.Scenario) -> Mapping[str, Table]:
        """Return the tables of a run: trace and features only where they are asked for."""
        assert isinstance(scenario, MarketScenario)
        record = scenario.record
        wanted = {"trace": record.trace, "weights": record.features, "features": record.features}
        return {name: t for name, t in cls.all_tables().items() if wanted.get(name, True)}

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Return a few simulated days of a small market on generated data."""
        data = {"train": 160, "test": 80, "features": 6, "classes": 2, "separation": 2.0}
        return {
            "protocol": cls.name,
            "rounds": 3,
            "devices": 4,
            "adversaries": [{"name": "bad", "count": 1, "contributor": "honest"}],
            "data": {"dataset": "synthetic", "params": data, "initial": 20},
            "market": {"model": "nearest-centroid", "slice_s": 100_000.0},
        }
