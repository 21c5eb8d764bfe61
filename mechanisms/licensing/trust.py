"""Licences on trust: whoever asks is given one."""

from __future__ import annotations

from mechanisms.licensing.base import LicensingRule


class Trust(LicensingRule):
    """Every offer gets the licence, one of nothing too: the grant's `getMasterModels`."""

    name = "trust"
    summary = "every offer gets the licence; nobody looks at what was paid"
    reference = "DecentralML grant (seed 000): getMasterModels operates on an element of trust"

    def licenses(self, fee: int, offer: int) -> bool:
        return True
