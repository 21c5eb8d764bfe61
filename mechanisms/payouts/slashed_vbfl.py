"""VBFL with a stake at risk."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mechanisms.combined import Combined
from mechanisms.parts.slashing import Slashing
from mechanisms.payouts.vbfl import Vbfl
from mechanisms.plugin import param


class SlashedVbfl(Combined):
    """VBFL's rewards with the part `slashing` around them."""

    name = "slashed-vbfl"
    summary = "VBFL plus a stake that rejected updates cost"
    reference = (
        "Chen et al., arXiv:2101.03300; guide on on-chain coordination, staking and slashing"
    )
    examples = (
        {},
        {"fraction": 1.0, "destination": "reporters"},
        {"fraction": 0.3, "destination": "treasury"},
    )

    @dataclass(frozen=True)
    class Params(Slashing.Params):
        unit_reward: int = param(
            1, help="base units paid per unit of work", unit="base units", ge=0, le=10**12
        )

    params: Params

    def __init__(self, params: Params | None = None) -> None:
        params = params or self.Params()
        own = asdict(params)
        unit_reward = own.pop("unit_reward")
        super().__init__(Vbfl(Vbfl.Params(unit_reward)), (Slashing(Slashing.Params(**own)),))
        self.params = params
