"""Round protocols: the order in which things happen between devices."""

from sim.rounds.fedavg import FedavgRound
from sim.rounds.vbfl import VbflRound

PROTOCOLS = {"vbfl": VbflRound, "fedavg": FedavgRound}
