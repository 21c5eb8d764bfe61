"""The dev chain's genesis: the runtime of a published chain specification, and a state of our own.

The specification ships in npm's @substrate/connect-known-chains (GPL-3.0-only): it is read when the
chain is set up, and is no part of this package.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from chain_bridge.devchain.install import folder, install
from chain_bridge.errors import BridgeError
from chain_bridge.keys import OPERATOR, signer
from chain_bridge.runtime import blake2, twox128

SPEC = Path("node_modules/@substrate/connect-known-chains/dist/esm/specs/rococo_v2_2_asset_hub.js")
# Of the compressed runtime, statemine 900.
RUNTIME_SHA256 = "0c225a9cbc7bf5a39c4235d3d51d9afd4669ea7aa9e0fc48738dac10ed5b027c"
SPEC_NAME = "statemine"
CHAIN_ID = "fedstake-devchain"
CODE = "0x" + b":code".hex()
# Holds the digest of the genesis, so that a client can tell this chain from others.
MARKER = "0x" + b":fedstake:genesis".hex()

OPERATOR_BALANCE = 10**18  # native units, a million tokens of twelve decimals
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z: fixed, so that equal calls give equal hashes
ASSET = 1
NAME, SYMBOL = b"Fedstake stake", b"STAKE"


def build(state: dict[str, str] | None = None) -> tuple[Path, str]:
    """Write the chain specification; return its path and the digest that its marker holds.

    `state`: further raw storage (hexadecimal keys and values), for tests and other assets.
    """
    # The published specification, and its runtime.
    source = install() / SPEC
    text = source.read_text()
    spec = json.loads(text[text.index("`") + 1 : text.rindex("`")])
    code = bytes.fromhex(spec["genesis"]["raw"]["top"][CODE][2:])
    found = hashlib.sha256(code).hexdigest()
    if found != RUNTIME_SHA256:
        raise BridgeError(f"{source}: the runtime's SHA-256 is {found}, not {RUNTIME_SHA256}")

    # A state of our own, and the digest of all of it.
    top = spec["genesis"]["raw"]["top"] | _own_state() | (state or {})
    digest = hashlib.sha256(json.dumps(sorted(top.items())).encode()).hexdigest()
    top[MARKER] = "0x" + digest
    spec |= {
        "name": "Fedstake devchain",
        "id": CHAIN_ID,
        "chainType": "Development",
        "bootNodes": [],
    }
    # Chopsticks pages through keys in this order.
    spec["genesis"]["raw"]["top"] = dict(sorted(top.items()))
    path = folder() / f"genesis-{digest[:12]}.json"
    if not path.is_file():
        partial = path.with_suffix(f".{id(spec)}.partial")
        partial.write_text(json.dumps(spec))
        partial.replace(path)
    return path, digest


def _own_state() -> dict[str, str]:
    """Return balances, issuance, time, and an asset that accounts may hold without native units."""
    operator = signer(OPERATOR).public
    asset = struct.pack("<I", ASSET)
    # AccountInfo: nonce, consumers, providers, sufficients; free, reserved, two freezes.
    account = struct.pack("<4I", 0, 0, 1, 0) + _u128(OPERATOR_BALANCE) + _u128(0) * 3
    # AssetDetails: owner, issuer, admin, freezer; supply, deposit, least balance, sufficient;
    # three counts; not frozen.
    details = operator * 4 + _u128(0) + _u128(0) + _u128(1) + b"\1"
    details += struct.pack("<3I", 0, 0, 0) + b"\0"
    # AssetMetadata: deposit, name, symbol, decimals, not frozen.
    metadata = _u128(0) + _text(NAME) + _text(SYMBOL) + b"\0" + b"\0"
    return {
        key("System", "Account", operator): "0x" + account.hex(),
        key("Balances", "TotalIssuance"): "0x" + _u128(OPERATOR_BALANCE).hex(),
        key("Timestamp", "Now"): "0x" + struct.pack("<Q", START_MS).hex(),
        key("Assets", "Asset", asset): "0x" + details.hex(),
        key("Assets", "Metadata", asset): "0x" + metadata.hex(),
    }


def key(pallet: str, entry: str, *keys: bytes) -> str:
    """Return the raw key of a plain value, or of a map hashed with Blake2_128Concat."""
    prefix = twox128(pallet.encode()) + twox128(entry.encode())
    return "0x" + (prefix + b"".join(blake2(k, 16) + k for k in keys)).hex()


def _text(text: bytes) -> bytes:
    """Return a text of fewer than 64 bytes in SCALE encoding."""
    return bytes([len(text) << 2]) + text


def _u128(number: int) -> bytes:
    return number.to_bytes(16, "little")
