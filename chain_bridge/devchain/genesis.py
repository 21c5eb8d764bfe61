"""The dev chain's genesis: the runtime of a published chain specification, and a state of our own.

The specification ships in npm's @substrate/connect-known-chains (GPL-3.0-only): it is read at set-up, never vendored.
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
RUNTIME_SHA256 = (
    "0c225a9cbc7bf5a39c4235d3d51d9afd4669ea7aa9e0fc48738dac10ed5b027c"  # compressed; statemine 900
)
SPEC_NAME = "statemine"
CHAIN_ID = "fedstake-devchain"
CODE = "0x" + b":code".hex()
MARKER = (
    "0x" + b":fedstake:genesis".hex()
)  # holds the genesis' own digest, so that a client can tell this chain from others

OPERATOR_BALANCE = 10**18  # planck, a million units of twelve decimals
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z: fixed, so that equal calls give equal hashes
ASSET = 1
NAME, SYMBOL = b"Fedstake stake", b"STAKE"


def build(state: dict[str, str] | None = None) -> tuple[Path, str]:
    """Write the chain specification; its path and the digest that its marker holds.

    `state`: further raw storage (hexadecimal keys and values), for tests and for assets of one's own.
    """
    source = install() / SPEC
    text = source.read_text()
    spec = json.loads(text[text.index("`") + 1 : text.rindex("`")])
    code = bytes.fromhex(spec["genesis"]["raw"]["top"][CODE][2:])
    found = hashlib.sha256(code).hexdigest()
    if found != RUNTIME_SHA256:
        raise BridgeError(f"{source}: the runtime's SHA-256 is {found}, not {RUNTIME_SHA256}")
    top = spec["genesis"]["raw"]["top"] | _own_state() | (state or {})
    digest = hashlib.sha256(json.dumps(sorted(top.items())).encode()).hexdigest()
    top[MARKER] = "0x" + digest
    spec |= {
        "name": "Fedstake devchain",
        "id": CHAIN_ID,
        "chainType": "Development",
        "bootNodes": [],
    }
    spec["genesis"]["raw"]["top"] = dict(
        sorted(top.items())
    )  # Chopsticks pages through keys in this order
    path = folder() / f"genesis-{digest[:12]}.json"
    if not path.is_file():
        partial = path.with_suffix(f".{id(spec)}.partial")
        partial.write_text(json.dumps(spec))
        partial.replace(path)
    return path, digest


def _own_state() -> dict[str, str]:
    """Balances, issuance, time, and an asset that accounts may hold without holding anything else."""
    operator = signer(OPERATOR).public
    asset = struct.pack("<I", ASSET)
    # AccountInfo: nonce, consumers, providers, sufficients; free, reserved, two freezes
    account = struct.pack("<4I", 0, 0, 1, 0) + _u128(OPERATOR_BALANCE) + _u128(0) * 3
    # AssetDetails: owner, issuer, admin, freezer; supply, deposit, least balance, sufficient; counts; not frozen
    details = (
        operator * 4 + _u128(0) + _u128(0) + _u128(1) + b"\1" + struct.pack("<3I", 0, 0, 0) + b"\0"
    )
    # AssetMetadata: deposit, name, symbol, decimals, not frozen
    metadata = (
        _u128(0)
        + bytes([len(NAME) << 2])
        + NAME
        + bytes([len(SYMBOL) << 2])
        + SYMBOL
        + b"\0"
        + b"\0"
    )
    return {
        key("System", "Account", operator): "0x" + account.hex(),
        key("Balances", "TotalIssuance"): "0x" + _u128(OPERATOR_BALANCE).hex(),
        key("Timestamp", "Now"): "0x" + struct.pack("<Q", START_MS).hex(),
        key("Assets", "Asset", asset): "0x" + details.hex(),
        key("Assets", "Metadata", asset): "0x" + metadata.hex(),
    }


def key(pallet: str, entry: str, *keys: bytes) -> str:
    """Raw key of a map hashed with Blake2_128Concat, or of a plain value."""
    return (
        "0x"
        + (
            twox128(pallet.encode())
            + twox128(entry.encode())
            + b"".join(blake2(k, 16) + k for k in keys)
        ).hex()
    )


def _u128(number: int) -> bytes:
    return number.to_bytes(16, "little")
