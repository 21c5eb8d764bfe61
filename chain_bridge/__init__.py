"""The chain bridge: repeats a recorded run on a real chain and reconciles the two.

It reads a run directory (manifest, journal, declared tables) and nothing else of the house.
"""

from chain_bridge.errors import (
    BridgeError,
    ChainSilentError,
    PlanError,
    ReplayError,
    RpcError,
    SafetyError,
)
from chain_bridge.witness import Options, Witnessed, dry_run, replay_run

__all__ = [
    "BridgeError",
    "ChainSilentError",
    "Options",
    "PlanError",
    "ReplayError",
    "RpcError",
    "SafetyError",
    "Witnessed",
    "dry_run",
    "replay_run",
]
