"""Signed extrinsics (version 4), made by hand: byte for byte what the library makes, a thousand times sooner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chain_bridge.errors import BridgeError
from chain_bridge.keys import Signer
from chain_bridge.runtime import Runtime, blake2
from chain_bridge.scale import compact

SIGNED_V4 = 0x84


@dataclass(frozen=True)
class Era:
    """How long a transaction is good: for ever (`period` 0), or `period` blocks from the one that `block` names."""

    period: int = 0
    number: int = 0
    block: str = ""

    def encode(self) -> bytes:
        """Substrate's two bytes: log2 of the period, and the phase in it. Periods are powers of two from 4 to 65,536."""
        if not self.period:
            return b"\0"
        quantum = max(1, self.period >> 12)
        phase = self.number % self.period // quantum
        return (min(15, max(1, self.period.bit_length() - 2)) | phase << 4).to_bytes(2, "little")


IMMORTAL = Era()


def sign(
    runtime: Runtime, genesis: str, call: bytes, signer: Signer, nonce: int, era: Era = IMMORTAL
) -> bytes:
    """A signed extrinsic without a tip. `BridgeError` when the chain's transactions need something unknown."""
    return assemble(runtime, genesis, call, signer.public, signer.sign, nonce, era)


def assemble(
    runtime: Runtime,
    genesis: str,
    call: bytes,
    public: bytes,
    signature: Callable[[bytes], bytes],
    nonce: int,
    era: Era = IMMORTAL,
) -> bytes:
    """An extrinsic whose signature (a `MultiSignature`, 65 bytes) is what a function makes of the payload."""
    for part, known in (("Address", "MultiAddress"), ("Signature", "MultiSignature")):
        if runtime.transaction_part(part) != known:
            raise BridgeError(
                f"transactions of this chain have another {part.lower()} ({runtime.transaction_part(part)}) than {known}"
            )
    extra, additional = b"", b""
    for told in runtime.signed_extensions:
        in_extra, in_payload = _extension(runtime, told, genesis, nonce, era)
        extra += in_extra
        additional += in_payload
    payload = call + extra + additional
    signed = signature(payload if len(payload) <= 256 else blake2(payload))
    body = bytes([SIGNED_V4]) + b"\0" + public + signed + extra + call
    return compact(len(body)) + body


def _extension(
    runtime: Runtime, told: dict[str, Any], genesis: str, nonce: int, era: Era
) -> tuple[bytes, bytes]:
    """What one signed extension adds to the extrinsic, and to what is signed."""
    name = told["identifier"]
    origin = bytes.fromhex(genesis[2:])
    match name:
        case "CheckSpecVersion":
            return b"", runtime.spec_version.to_bytes(4, "little")
        case "CheckTxVersion":
            return b"", runtime.transaction_version.to_bytes(4, "little")
        case "CheckGenesis":
            return b"", origin
        case "CheckMortality" | "CheckEra":
            return era.encode(), bytes.fromhex(era.block[2:]) if era.period else origin
        case "CheckNonce":
            return compact(nonce), b""
        case "ChargeTransactionPayment":
            return compact(0), b""
        case "ChargeAssetTxPayment":
            return compact(0) + b"\0", b""
        case "CheckMetadataHash":
            return b"\0", b"\0"
    if runtime.codec.is_empty(told["ty"]) and runtime.codec.is_empty(told["additional_signed"]):
        return b"", b""
    raise BridgeError(f"transactions of this chain carry {name}, which this bridge does not know")


def signed_by(extrinsic: bytes) -> bytes | None:
    """The public key that signed a version 4 extrinsic (with a 32-byte address); None for any other."""
    at = _after_length(extrinsic)
    if len(extrinsic) < at + 34 or extrinsic[at] != SIGNED_V4 or extrinsic[at + 1] != 0:
        return None
    return extrinsic[at + 2 : at + 34]


def _after_length(extrinsic: bytes) -> int:
    mode = extrinsic[0] & 3
    return {0: 1, 1: 2, 2: 4}.get(mode, 1 + (extrinsic[0] >> 2) + 4)
