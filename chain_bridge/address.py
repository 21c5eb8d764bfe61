"""Addresses of nodes as users give them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from chain_bridge.errors import PlanError
from fedstake.outside import shown


def address(url: str, *schemes: str) -> SplitResult:
    """Return the parts of an address, checked before anything is asked there.

    Raises `PlanError` unless it has one of these schemes, a host and a port that can be.
    """
    given = f"--endpoint {shown(url)}"
    try:
        place = urlsplit(url)
        place.netloc.encode("idna")
    except ValueError:  # brackets that do not close, names that are too long
        raise PlanError(f"{given}: is no address") from None
    if place.scheme not in schemes or not place.hostname:
        right = " or ".join(f"{scheme}://" for scheme in schemes)
        raise PlanError(f"{given}: must begin with {right} and name a host")
    try:
        _ = place.port
    except ValueError:
        raise PlanError(f"{given}: the port must be a number below 65536") from None
    return place
