"""Annotators label public samples; the labels that are bought become public training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.keys import within
from sim.labelling.desk import LabellingDesk
from sim.labelling.items import Items, items_of
from sim.protocols.collective.economy import Economy, PartyRole
from sim.protocols.collective.funding import ANNOTATORS, POOLS
from sim.protocols.collective.settings import ANNOTATOR, ENGINEER


class Annotating:
    """The public samples, the desk where labels of them are bought, and what engineers know.

    `queue` are samples without a label that nobody was asked about yet, or in vain.
    """

    def __init__(self, economy: Economy) -> None:
        game, scenario = economy.game, economy.scenario
        self.economy, self.game = economy, game
        public = game.bench.split.public
        drawn = game.streams.rng("public labels").permutation(public)
        known = round(scenario.labelled_fraction * len(public))
        self.known = np.sort(drawn[:known])
        self.queue: list[int] = drawn[known:].tolist()
        settings = scenario.labelling
        with within("labelling"):
            settings.check(known)
        people = [game.population[d] for d in scenario.parties.devices[ANNOTATOR]]
        self.desk = LabellingDesk(
            settings,
            self._items(),
            people,
            game.population.coalitions,
            treasury=game.treasury,
            incidents=game.incidents,
            streams=game.streams,
            clock=game.clock,
        )
        self._teach(self.known)

    def _items(self) -> Items:
        """Return all training samples as items: what annotators may be asked about."""
        data, settings = self.game.bench.dataset, self.economy.scenario.labelling
        rng = self.game.streams.rng("labelling difficulty")
        return items_of(data.x_train, data.y_train, data.classes, settings, rng)

    def play(self, rows: list[int] | None = None) -> None:
        """Open tasks, let annotators work, and make public what was bought.

        `rows`: ask about these samples; None: about those that are next.
        """
        desk, online = self.desk, self.economy.online(ANNOTATOR)
        for device in online:
            self.game.population[device].role = PartyRole.ANNOTATOR
        self.ask(rows)
        desk.play_round(online)
        if self.game.kernel.last_round:
            desk.close()
        self._take_bought()

    def end_round(self) -> None:
        """Record what was done by hand since; after the last round end what is open."""
        if self.game.kernel.last_round:
            self.desk.close()
        self._take_bought()

    def _take_bought(self) -> None:
        """Make public what was bought, and record what the desk did."""
        desk = self.desk
        self.queue += desk.take_returned()
        self._teach_bought()
        for table, recorded in desk.rows().items():
            self.game.kernel.recorder.add(table, recorded)

    def ask(self, rows: list[int] | None = None) -> int:
        """Open tasks about samples, as far as the pool goes; return how many are asked about."""
        settings, economy = self.economy.scenario.labelling, self.economy
        if rows is None:
            rows = self.queue[: settings.tasks * settings.fresh]
        if economy.expired or not rows:
            return 0
        payer = POOLS[ANNOTATORS]
        asked = self.desk.open_campaign(rows, payer=payer, known=self.known.tolist())
        done = {*rows[:asked]}
        self.queue = [row for row in self.queue if row not in done]
        return asked

    def _teach_bought(self) -> None:
        """Let engineers know every label that was bought so far."""
        bought = self.desk.labels()
        self.game.bench.engine.relabel(bought.rows, bought.labels)
        self._teach(np.concatenate([self.known, bought.rows]))

    def _teach(self, rows: NDArray[np.int64]) -> None:
        """Let engineers train on these public samples, each once, with the labels they have."""
        for device in self.economy.scenario.parties.devices[ENGINEER]:
            self.game.bench.split.train[device] = np.unique(rows)

    def round_columns(self) -> dict[str, Any]:
        """Return the columns of `rounds` about labels."""
        return self.desk.round_columns()

    def columns(self, device: int) -> dict[str, Any]:
        """Return the columns of `participants` about the labelling of a device."""
        return self.desk.columns(device)

    # --- checkpoints --------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return JSON values at a round boundary."""
        bought: Sequence[Any] = self.desk.history(0).rows
        return {"desk": self.desk.to_state(), "bought": bought, "queue": self.queue}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from `to_state`."""
        self.desk.restore(state["desk"], state["bought"])
        self.queue = list(state["queue"])
        self._teach_bought()
