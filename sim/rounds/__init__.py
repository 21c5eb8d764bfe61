"""Round protocols: the order in which things happen between devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.rounds.coordinator import CoordinatorRound
from sim.rounds.fedavg import FedavgRound
from sim.rounds.report import record_coordinator, record_fedavg, record_vbfl, record_versions
from sim.rounds.vbfl import VbflRound

if TYPE_CHECKING:
    from sim.world import World


__all__ = ["play_round", "record_versions"]


def play_round(world: World) -> None:
    """Play and record one round of the scenario's protocol."""
    if world.scenario.protocol == "vbfl":
        vbfl = VbflRound(world)
        vbfl.play()
        record_vbfl(vbfl)
    elif world.scenario.protocol == "coordinator":
        coordinator = CoordinatorRound(world)
        coordinator.play()
        record_coordinator(coordinator)
    else:
        fedavg = FedavgRound(world)
        fedavg.play()
        record_fedavg(fedavg)
