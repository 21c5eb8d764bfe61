"""The price of capture: the cheapest ballots that turn an outcome."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mechanisms.vocabulary import Ask, Purchase

SLACK = 1e-6
"""Needs are raised by this part where the solver's tolerance has left them short by a unit."""


def price_of(ask: Ask, stake: int) -> int:
    """Return what a part of a ballot's stake costs, rounded up; all of it at the asked price."""
    whole = ask.ballot.stake
    return ask.price if stake >= whole else -(-ask.price * stake // whole)


def cheapest(
    asks: Sequence[Ask], needs: Sequence[tuple[int, int]], *, parts: bool
) -> tuple[int, list[Purchase]] | None:
    """Return the price of capture and what is bought for it; None where no price is enough.

    It is exact for whole ballots: a covering problem in 0 and 1, solved by scipy's HiGHS. Where
    parts of a stake are for sale it is exact up to the rounding of one price for each ballot.

    Args:
        asks: ballots for sale.
        needs: alternatives of what the gains must add up to, see `VotingRule.needs`.
        parts: whether a part of a ballot's stake can be bought at its part of the price.
    """
    useful = [ask for ask in asks if max(ask.gains) > 0]
    found = [_covering(useful, need, parts) for need in needs]
    priced = [(_total(useful, bought), bought) for bought in found if bought is not None]
    return min(priced, key=lambda pair: pair[0], default=None)


def _total(asks: Sequence[Ask], bought: Sequence[Purchase]) -> int:
    by_voter = {ask.voter: ask for ask in asks}
    return sum(price_of(by_voter[p.voter], p.stake) for p in bought)


def _covering(asks: Sequence[Ask], need: tuple[int, int], parts: bool) -> list[Purchase] | None:
    """Return the cheapest ballots whose gains cover a need."""
    wanted = [i for i in range(2) if need[i] > 0]
    if any(sum(ask.gains[i] for ask in asks) < need[i] for i in wanted):
        return None
    if not wanted:
        return []
    for slack in (0.0, SLACK):
        shares = _solved(asks, need, wanted, parts, slack)
        bought = _in_parts(asks, need, shares) if parts else _whole(asks, need, shares)
        if bought is not None:
            return bought
    # The solver cannot tell needs of so many digits apart: everything is bought.
    return [Purchase(ask.voter, ask.ballot.stake) for ask in asks]


def _solved(
    asks: Sequence[Ask],
    need: tuple[int, int],
    wanted: Sequence[int],
    parts: bool,
    slack: float,
) -> np.ndarray:
    """Return the share of each ballot that is bought, `float64[n]`: 0 or 1 unless in parts."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    gains = np.array([[ask.gains[i] / need[i] for ask in asks] for i in wanted])
    prices = np.array([ask.price for ask in asks], dtype=np.float64)
    solved = milp(
        prices / max(1.0, prices.max()),
        integrality=np.full(len(asks), 0 if parts else 1),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(gains, np.full(len(wanted), 1 + slack), np.inf),
        options={"mip_rel_gap": 0.0},
    )
    return np.ones(len(asks)) if solved.x is None else solved.x


def _whole(asks: Sequence[Ask], need: tuple[int, int], shares: np.ndarray) -> list[Purchase] | None:
    """Return whole ballots; None where they fall short of the need."""
    chosen = [ask for ask, share in zip(asks, shares, strict=True) if share > 0.5]
    short = any(sum(ask.gains[i] for ask in chosen) < need[i] for i in range(2) if need[i] > 0)
    return None if short else [Purchase(ask.voter, ask.ballot.stake) for ask in chosen]


def _in_parts(asks: Sequence[Ask], need: tuple[int, int], shares: np.ndarray) -> list[Purchase]:
    """Return parts of ballots, whole base units: rounded down, and filled up from the cheapest."""
    bought = [int(ask.ballot.stake * share) for ask, share in zip(asks, shares, strict=True)]
    for i in (i for i in range(2) if need[i] > 0):
        order = [k for k in range(len(asks)) if asks[k].gains[i] > 0]
        for k in sorted(order, key=lambda k: asks[k].price / asks[k].gains[i]):
            gained = sum(
                a.gains[i] * b // a.ballot.stake for a, b in zip(asks, bought, strict=True)
            )
            missing = max(0, need[i] - gained)
            units = -(-missing * asks[k].ballot.stake // asks[k].gains[i])
            bought[k] = min(asks[k].ballot.stake, bought[k] + units)
    return [Purchase(a.voter, b) for a, b in zip(asks, bought, strict=True) if b]
