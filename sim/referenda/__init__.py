"""Referenda: proposals to change parameters, ballots, sale of votes, delay, cost, execution."""

from sim.referenda.locks import ESCROW
from sim.referenda.proposals import Parameter, Proposal
from sim.referenda.referenda import Referenda

__all__ = ["ESCROW", "Parameter", "Proposal", "Referenda"]
