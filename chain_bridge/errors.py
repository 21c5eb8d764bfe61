"""Errors of the chain bridge, each with a message of one line.

    FedstakeError
    └── BridgeError           1   something between the run and the chain failed
        ├── ChainSilentError  1   the chain did not answer
        ├── RpcError          1   the chain refused a request
        ├── ReplayError       1   the chain refused a batch
        ├── PlanError         2   the run or an option is wrong; also an InputError
        └── SafetyError       2   the key must not sign on this chain; also an InputError

The number is the exit code of the command line.
"""

from __future__ import annotations

from fedstake.errors import FedstakeError, InputError


class BridgeError(FedstakeError):
    """Base of all errors of the bridge."""


class ChainSilentError(BridgeError):
    """The chain did not answer in time, or the connection broke; batches that landed stand."""


class RpcError(BridgeError):
    """The chain answered a request with an error."""

    def __init__(self, method: str, code: int | None, message: str) -> None:
        super().__init__(method, code, message)
        self.method, self.code, self.message = method, code, message

    def __str__(self) -> str:
        return f"the chain refused {self.method}: {self.message}"


class ReplayError(BridgeError):
    """The chain refused a batch: nothing of it was applied, the batches before it stand."""


class PlanError(BridgeError, InputError):
    """A run or an option that cannot be replayed, found before anything was sent."""


class SafetyError(BridgeError, InputError):
    """A key that must not sign on this chain."""
