"""What can go wrong between a recorded run and a chain; every message is one line."""

from __future__ import annotations


class BridgeError(RuntimeError):
    """Something that the user can act on."""


class ChainSilentError(BridgeError):
    """The chain did not answer in time, or the connection broke; what has landed is still there."""


class RpcError(BridgeError):
    """The chain answered a request with an error."""

    def __init__(self, method: str, code: int | None, message: str) -> None:
        super().__init__(f"the chain refused {method}: {message}")
        self.code = code
        self.message = message


class SafetyError(BridgeError):
    """A key must not sign on this chain."""


class PlanError(BridgeError):
    """A run that cannot be replayed as asked, found before anything was sent."""


class ReplayError(BridgeError):
    """A batch that the chain refused; the batches before it stand, nothing of it was applied."""
