"""Where referenda are held: what one costs, and how long until it is in force."""

from __future__ import annotations

from typing import NamedTuple

DAY = 86_400.0
TABLE = "guide on on-chain coordination (seed 003), comparison of protocols"


class Venue(NamedTuple):
    """A place to hold referenda.

    usd        least and most that one costs its proposer, US dollars
    remark     fee of one act that is recorded by itself, native tokens: a proposal, its
               execution, each ballot
    delay_s    from the proposal to its execution, seconds
    reference  where the numbers come from
    """

    usd: tuple[float, float]
    remark: float
    delay_s: float
    reference: str


VENUES = {
    "custom-contract": Venue((50.0, 200.0), 0.0, 12.0, f"{TABLE}: below one block of Ethereum"),
    "governor": Venue((100.0, 500.0), 0.0, 3 * DAY, f"{TABLE}: OpenZeppelin Governor"),
    "safe": Venue((20.0, 80.0), 0.0, 1 * DAY, f"{TABLE}: Gnosis Safe and Zodiac"),
    "substrate": Venue(
        (0.0, 0.0),
        8.12e-6,
        6.0,
        "measured on the dev chain: a remark as a transaction of its own "
        "(docs/reference/fees-by-mechanism.md); one block of six seconds",
    ),
}
"""By name. A delay in a scenario replaces the one here, as for a vote of two weeks on OpenGov."""
