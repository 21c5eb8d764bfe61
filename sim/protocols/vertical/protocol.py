"""Vertical federated learning as a protocol: what it declares, and its round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from sim.protocol import Table
from sim.protocols.vertical.settings import VerticalScenario
from sim.recording import INTEGER, Column, Columns
from sim.scenario import Scenario
from sim.training import tables
from sim.training.protocol import ServedProtocol

if TYPE_CHECKING:
    from sim.training.workbench import Workbench


class Vertical(ServedProtocol):
    """Parties hold different features of the same samples, and one of them the labels.

    The first layer of the model is split among the parties: each sends what it computes of its own
    features, and the party with the labels adds these up, goes on with the layers that follow, and
    sends the gradient back, batch by batch. With all parties honest and there this is SGD on the
    joint data, to the last bit.
    """

    name = "vertical"
    summary = "parties with features of the same samples train one model with who has the labels"
    reference = "Yang et al. 2019, arXiv:1902.04885, section 2.3.2; Chen et al. 2020, 2007.06081"
    Scenario: ClassVar[type[Scenario]] = VerticalScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **ServedProtocol.tables,
        "participants": {
            **tables.PARTICIPANTS,
            "features": Column(INTEGER, "features of each sample that it holds"),
        },
    }
    tape = None

    def bench(self) -> type[Workbench]:
        from sim.protocols.vertical.parties import Parties

        return Parties

    def play_round(self) -> None:
        from sim.protocols.vertical.parties import Parties
        from sim.protocols.vertical.round import VerticalRound

        bench = self.game.bench
        assert isinstance(bench, Parties)
        VerticalRound(self.game, self.chain, bench).play()

    @classmethod
    def example(cls) -> dict[str, Any]:
        values = super().example() | {"devices": 3, "payout": {"mechanism": "flat"}}
        data = {key: value for key, value in values["data"].items() if key != "partition"}
        return values | {"data": data}
