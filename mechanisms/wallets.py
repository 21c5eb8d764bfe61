"""Wallets: the address of a participant, and the hash by which it asks to be paid."""

from __future__ import annotations

import hashlib


def address(device: int) -> str:
    """Return the address of a device: the name of its account in the journal."""
    return f"device:{device}"


def claim(address: str) -> str:
    """Return the SHA-256 of an address, hexadecimal: what its owner submits to be paid."""
    return hashlib.sha256(address.encode()).hexdigest()
