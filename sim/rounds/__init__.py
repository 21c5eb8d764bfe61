"""Round protocols: the order in which things happen between devices."""

from sim.rounds.fedavg import FedavgRound
from sim.rounds.vbfl import VbflRound

PROTOCOLS: dict[str, type[VbflRound] | type[FedavgRound]] = {"vbfl": VbflRound, "fedavg": FedavgRound}
