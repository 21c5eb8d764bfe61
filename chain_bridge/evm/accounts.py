"""Accounts of a run on a development chain, and their signatures.

Every key follows from a seed that everybody can read here: it guards nothing, and signs only for
chain ids that development chains use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import coincurve
from eth_utils import keccak

from chain_bridge.errors import SafetyError

SEED = b"fedstake public development seed"
DEV_CHAINS = frozenset({1_337, 31_337})
"""Chain ids of ganache, geth --dev, hardhat and anvil; no live chain has one of them."""
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Account:
    """An account that signs its own transactions; its secret is never shown."""

    __slots__ = ("_key", "address", "name")

    def __init__(self, run: bytes, name: str) -> None:
        """Derive the key of the account `name` of a run, given by its 16 bytes."""
        digest = hashlib.sha256(SEED + run + name.encode()).digest()
        number = int.from_bytes(digest, "big") % (_ORDER - 1) + 1
        self._key = coincurve.PrivateKey(number.to_bytes(32, "big"))
        public = self._key.public_key.format(compressed=False)
        self.name = name
        self.address = "0x" + keccak(public[1:])[-20:].hex()

    def __repr__(self) -> str:
        return f"Account({self.name!r}, {self.address})"

    def sign(self, chain_id: int, nonce: int, gas: int, to: str, data: bytes) -> bytes:
        """Return a signed transaction that pays nothing for its gas (EIP-155).

        `to` "": creates a contract. The same transaction gets the same signature every time.
        Raises `SafetyError` for a chain that is not one for development.
        """
        if chain_id not in DEV_CHAINS:
            raise SafetyError(
                f"chain id {chain_id}: keys of the public seed sign only on development chains "
                f"({', '.join(map(str, sorted(DEV_CHAINS)))})"
            )
        body = [_number(nonce), b"", _number(gas), bytes.fromhex(to[2:]), b"", data]
        digest = keccak(rlp([*body, _number(chain_id), b"", b""]))
        signature = self._key.sign_recoverable(digest, hasher=None)
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
        v = chain_id * 2 + 35 + signature[64]
        return rlp([*body, _number(v), _number(r), _number(s)])


def escrow_address(name: str) -> str:
    """Return the address that a contract books an escrow account under; nobody has its key."""
    return "0x" + keccak(text=name)[-20:].hex()


def created_address(creator: str, nonce: int) -> str:
    """Return the address of the contract that a transaction of this nonce creates."""
    return "0x" + keccak(rlp([bytes.fromhex(creator[2:]), _number(nonce)]))[-20:].hex()


# --- recursive length prefix (Ethereum yellow paper, appendix B) ----------------------------------


def rlp(items: Sequence[bytes]) -> bytes:
    """Return a list of byte strings, encoded."""
    body = b"".join(map(_string, items))
    return _prefixed(body, 0xC0)


def _string(item: bytes) -> bytes:
    if len(item) == 1 and item[0] < 0x80:
        return item
    return _prefixed(item, 0x80)


def _prefixed(body: bytes, base: int) -> bytes:
    if len(body) < 56:
        return bytes([base + len(body)]) + body
    length = _number(len(body))
    return bytes([base + 55 + len(length)]) + length + body


def _number(value: int) -> bytes:
    """Return a number big-endian without leading zeros; 0 is empty."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")
