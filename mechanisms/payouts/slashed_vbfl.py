"""VBFL with something to lose."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mechanisms.combined import Combined
from mechanisms.parts.slashing import Slashing, SlashingParams
from mechanisms.payouts.vbfl import Vbfl, VbflParams
from mechanisms.plugin import param


@dataclass(frozen=True)
class SlashedVbflParams(SlashingParams):
    """Parameters of the plug-in below."""

    unit_reward: int = param(
        1, help="base units paid per unit of work", unit="base units", ge=0, le=10**12
    )


class SlashedVbfl(Combined):
    """VBFL's rewards with the part `slashing` around them."""

    name = "slashed-vbfl"
    summary = "VBFL plus a stake that rejected updates cost"
    reference = (
        "Chen et al., arXiv:2101.03300; guide on on-chain coordination, staking and slashing"
    )
    Params = SlashedVbflParams

    def __init__(self, params: SlashedVbflParams | None = None) -> None:
        params = params or SlashedVbflParams()
        own = asdict(params)
        unit_reward = own.pop("unit_reward")
        super().__init__(Vbfl(VbflParams(unit_reward)), (Slashing(SlashingParams(**own)),))
        self.params = params
