"""Suite of on-line models."""

from __future__ import annotations

from experiments.conformance.common import Conformance


class OnlineModelConformance(Conformance):
    """The same updates give the same model, from a restored state too."""
