"""Hierarchical federated learning as a protocol: what it declares, and its round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from sim.protocol import Outcome, Table
from sim.protocols.hierarchical.settings import HierarchicalScenario
from sim.recording import INTEGER, TRUTH, Column, Columns
from sim.scenario import Scenario
from sim.training import declared, tables
from sim.training.protocol import ServedProtocol

EDGES = Table(
    "region of a round",
    {
        "round": Column(INTEGER, "which round"),
        "region": Column(INTEGER, "0, 1, ..."),
        "edge": Column(INTEGER, "the device that aggregated; null: none of the region was there"),
        "adversary": Column(TRUTH, "whether it is an adversary"),
        "updates": Column(INTEGER, "updates in its last model"),
        "samples": Column(INTEGER, "samples behind them, as claimed"),
        "delivered": Column(TRUTH, "whether its model reached the server in time"),
        "fee": Column(INTEGER, "what it was paid for that"),
    },
)


class Hierarchical(ServedProtocol):
    """Workers send to the edge of their region, edges to the server.

    Liu et al. 2020, arXiv:1905.06641, algorithm 1 (HierFAVG): workers train, edges average
    `edges.rounds` times, then the server averages the edges. Edges are devices, and are paid.
    """

    name = "hierarchical"
    summary = "edges aggregate the updates of their regions for a fee, a server aggregates edges"
    reference = "Liu et al. 2020, arXiv:1905.06641, algorithm 1 (HierFAVG)"
    Scenario: ClassVar[type[Scenario]] = HierarchicalScenario
    tables: ClassVar[Mapping[str, Table | Columns]] = {
        **ServedProtocol.tables,
        "participants": {
            **tables.PARTICIPANTS,
            "region": Column(INTEGER, "where it belongs"),
        },
        "edges": EDGES,
    }
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        **declared.OUTCOMES,
        "edge_fees": Outcome(
            "edges", "sum(fee)::bigint", "what edges were paid, base units", "min"
        ),
        "undelivered": Outcome(
            "edges", "count(*) filter (where not delivered)", "models of regions that were lost"
        ),
    }

    least = 2

    def play_round(self) -> None:
        from sim.protocols.hierarchical.round import HierarchicalRound

        scenario = self.game.scenario
        assert isinstance(scenario, HierarchicalScenario)
        HierarchicalRound(self.game, self.chain, scenario).play()

    @classmethod
    def example(cls) -> dict[str, Any]:
        return super().example() | {
            "payout": {"mechanism": "flat"},
            "edges": {"count": 2, "rounds": 2, "fee": 10, "params": {"weighted": True}},
        }
