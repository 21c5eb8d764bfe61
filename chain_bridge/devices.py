"""The accounts of devices, as a journal names them: `device:0`, `device:1`, ..."""

from __future__ import annotations

import re
from collections.abc import Iterable

NO_DEVICE = -1
"""The number of what is no device's."""
_DEVICE = re.compile(r"device:(0|[1-9][0-9]{0,17})", re.ASCII)


def account_of(device: int) -> str:
    """Return the name of a device's account."""
    return f"device:{device}"


def accounts_of(devices: Iterable[int]) -> list[str]:
    """Return the names of devices' accounts."""
    return [account_of(device) for device in devices]


def device_of(account: str) -> int:
    """Return the device that an account belongs to, `NO_DEVICE` for any other account.

    Other spellings of a number (zeros before it, other digits) name no device: two accounts never
    have one owner.
    """
    found = _DEVICE.fullmatch(account)
    return int(found[1]) if found else NO_DEVICE
