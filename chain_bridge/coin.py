"""The native token of a chain: its amounts in tokens, beside the base units that it counts in."""

from __future__ import annotations

from typing import Any, NamedTuple


class Coin(NamedTuple):
    """What one token is called, and how many decimals it has; None where the chain says nothing."""

    symbol: str = ""
    decimals: int | None = None

    @classmethod
    def of(cls, properties: dict[str, Any]) -> Coin:
        """Return the coin of `system_properties`; chains with several tokens name theirs first."""
        symbol, decimals = properties.get("tokenSymbol"), properties.get("tokenDecimals")
        if isinstance(symbol, list):
            symbol = next(iter(symbol), None)
        if isinstance(decimals, list):
            decimals = next(iter(decimals), None)
        return cls(symbol or "", decimals)

    def amount(self, units: int) -> str:
        """Return an amount of base units as text, in tokens as well where the decimals are known.

        For example "168,463,514 (0.000168463514 ROC)".
        """
        tokens = self.tokens(units)
        if not tokens:
            return f"{units:,}"
        return f"{units:,} ({tokens} {self.symbol})".replace(" )", ")")

    def tokens(self, units: int) -> str:
        """Return an amount of base units in tokens, exactly; "" where the decimals are unknown."""
        if self.decimals is None:
            return ""
        whole, rest = divmod(abs(units), 10**self.decimals)
        fraction = f"{rest:0{self.decimals}d}".rstrip("0") if self.decimals else ""
        sign = "-" if units < 0 else ""
        return f"{sign}{whole:,}.{fraction}".removesuffix(".")
