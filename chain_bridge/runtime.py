"""The runtime of a chain by its own metadata: calls, constants, errors, storage and limits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import xxhash

from chain_bridge.errors import BridgeError
from chain_bridge.scale import Codec, compact


class Weight(NamedTuple):
    """The work of a call: execution (picoseconds of the reference machine), bytes of storage proof.

    Runtimes before weights V2 know execution only; there `proof_size` is 0.
    """

    ref_time: int
    proof_size: int = 0

    def __add__(self, other: object) -> Weight:
        if not isinstance(other, Weight):
            return NotImplemented
        return Weight(self.ref_time + other.ref_time, self.proof_size + other.proof_size)


class Limits(NamedTuple):
    """The limits of one extrinsic: weight, encoded bytes, calls in a batch (None: unknown).

    `block`: the weight of all normal extrinsics of a block; `extrinsic`: what each takes of it
    beside its call.
    """

    weight: Weight
    length: int
    calls: int | None
    block: Weight = Weight(2**62, 2**62)
    extrinsic: Weight = Weight(0)


def twox128(data: bytes) -> bytes:
    """Return Substrate's hash of pallet and storage names."""
    return b"".join(xxhash.xxh64(data, seed=i).intdigest().to_bytes(8, "little") for i in (0, 1))


def blake2(data: bytes, size: int = 32) -> bytes:
    """Return BLAKE2b of data, with a digest of `size` bytes."""
    return hashlib.blake2b(data, digest_size=size).digest()


def _raw(text: str) -> bytes:
    """Return bytes that the library shows as hexadecimal, or as text where they are valid UTF-8."""
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


HASHERS: dict[str, Callable[[bytes], bytes]] = {
    "Blake2_128": lambda k: blake2(k, 16),
    "Blake2_256": blake2,
    "Blake2_128Concat": lambda k: blake2(k, 16) + k,
    "Twox128": twox128,
    "Twox64Concat": lambda k: xxhash.xxh64(k, seed=0).intdigest().to_bytes(8, "little") + k,
    "Identity": lambda k: k,
}


@dataclass(frozen=True)
class Runtime:
    """One runtime of one chain. `metadata` is the V14 metadata as the library decodes it."""

    spec_name: str
    spec_version: int
    transaction_version: int
    metadata: dict[str, Any]
    methods: frozenset[str]

    @cached_property
    def codec(self) -> Codec:
        return Codec(self.metadata["types"]["types"])

    @cached_property
    def _pallets(self) -> dict[str, dict[str, Any]]:
        return {p["name"]: p for p in self.metadata["pallets"]}

    @cached_property
    def call_type(self) -> int:
        """Number of the type of every call: parameter `Call` of the extrinsic."""
        return self._transaction_params["Call"]

    @cached_property
    def _transaction_params(self) -> dict[str, int]:
        params = self.codec.type_of(self.metadata["extrinsic"]["ty"])["params"]
        return {p["name"]: p["type"] for p in params}

    def transaction_part(self, part: str) -> str:
        """Return the name of the type of a transaction's `Address`, `Signature` or `Extra`."""
        path = self.codec.type_of(self._transaction_params[part])["path"]
        return path[-1] if path else "?"

    @cached_property
    def signed_extensions(self) -> list[dict[str, Any]]:
        return self.metadata["extrinsic"]["signed_extensions"]

    # --- calls ------------------------------------------------------------------------------------

    @cached_property
    def _calls(self) -> dict[str, tuple[bytes, list[dict[str, Any]]]]:
        """The two bytes that each call begins with and its arguments, by names as `Assets.mint`."""
        found: dict[str, tuple[bytes, list[dict[str, Any]]]] = {}
        for name, pallet in self._pallets.items():
            if pallet["calls"]:
                for v in self._variants(pallet["calls"]["ty"]):
                    head = bytes([pallet["index"], v["index"]])
                    found[f"{name}.{v['name']}"] = (head, v["fields"])
        return found

    def _variants(self, kind: int) -> list[dict[str, Any]]:
        """Return the variants of a type."""
        return self.codec.type_of(kind)["def"]["variant"]["variants"]

    def has(self, call: str) -> bool:
        """Return whether the runtime has a call such as `Assets.mint`."""
        return call in self._calls

    def arguments(self, call: str) -> list[str]:
        """Return the names of a call's arguments."""
        return [f["name"] for f in self._calls[call][1]]

    def call(self, name: str, *args: Any) -> bytes:
        """Return an encoded call; arguments by position, because their names differ by runtime.

        Accounts are 32 bytes, weights `Weight`, calls inside calls encoded bytes.
        """
        if not self.has(name):
            raise BridgeError(f"the chain has no call {name}")
        head, fields = self._calls[name]
        if len(fields) != len(args):
            names = ", ".join(f["name"] for f in fields)
            raise BridgeError(f"{name} of this chain takes ({names}), not {len(args)} arguments")
        return head + b"".join(
            self._argument(f["type"], value) for f, value in zip(fields, args, strict=True)
        )

    def _argument(self, kind: int, value: Any) -> bytes:
        form = self._forms.get(kind) or self._forms.setdefault(kind, self._form(kind))
        if form == "address":
            return b"\0" + value  # MultiAddress::Id
        if form == "call":
            return value
        if form == "calls":
            return compact(len(value)) + b"".join(value)
        if form == "opaque":
            return compact(len(value)) + value
        if form == "weight":
            return self.codec.encode(kind, value._asdict())
        return self.codec.encode(kind, value.ref_time if isinstance(value, Weight) else value)

    @cached_property
    def _forms(self) -> dict[int, str]:
        return {}

    def _form(self, kind: int) -> str:
        """Return how this bridge encodes an argument of a type."""
        described = self.codec.type_of(kind)
        (form, inner), *_ = described["def"].items()
        last = described["path"][-1] if described["path"] else ""
        if last == "MultiAddress":
            return "address"
        if last == "WrapperKeepOpaque":
            return "opaque"
        if last == "Weight" and form == "composite" and len(inner["fields"]) == 2:
            return "weight"
        if kind == self.call_type:
            return "call"
        if form == "sequence" and inner["type"] == self.call_type:
            return "calls"
        return "plain"

    # --- constants, errors, storage ---------------------------------------------------------------

    def constant(self, pallet: str, name: str) -> Any:
        """Return a constant of a pallet; None where there is none."""
        for constant in self._pallets.get(pallet, {}).get("constants", ()):
            if constant["name"] == name:
                return self.codec.decode(constant["type"], _raw(constant["value"]))
        return None

    def error(self, dispatch_error: Any) -> str:
        """Return the name of a decoded `DispatchError`, such as `Assets.BalanceLow`."""
        kind, inner = dispatch_error
        if kind == "Module":
            module = inner[0] if isinstance(inner, tuple) else inner
            code = module["error"] if isinstance(module["error"], int) else module["error"][0]
            for name, pallet in self._pallets.items():
                if pallet["index"] == module["index"] and pallet["error"]:
                    variants = self._variants(pallet["error"]["ty"])
                    found = [v["name"] for v in variants if v["index"] == code]
                    return f"{name}.{found[0]}" if found else f"{name} error {code}"
        return f"{kind} {inner}" if inner else kind

    def storage_key(self, pallet: str, entry: str, *keys: bytes) -> bytes:
        """Return the key of a storage value, or the prefix of all under the given first keys.

        Keys are encoded already.
        """
        base = twox128(pallet.encode()) + twox128(entry.encode())
        kind = self._entry(pallet, entry)["type"]
        hashers = kind["Map"]["hashers"] if "Map" in kind else []
        return base + b"".join(HASHERS[h](k) for h, k in zip(hashers, keys, strict=False))

    def storage_value(self, pallet: str, entry: str, data: bytes) -> Any:
        """Return a stored value, decoded."""
        kind = self._entry(pallet, entry)["type"]
        return self.codec.decode(kind["Map"]["value"] if "Map" in kind else kind["Plain"], data)

    def storage_default(self, pallet: str, entry: str) -> Any:
        """Return the value of an entry that is not stored; None when the entry is optional."""
        described = self._entry(pallet, entry)
        if described["modifier"] == "Optional":
            return None
        return self.storage_value(pallet, entry, _raw(described["default"]))

    def _entry(self, pallet: str, entry: str) -> dict[str, Any]:
        if pallet not in self._pallets:
            raise BridgeError(f"the chain has no pallet {pallet}")
        storage = self._pallets[pallet]["storage"] or {"entries": []}
        for described in storage["entries"]:
            if described["name"] == entry:
                return described
        raise BridgeError(f"the chain has no storage {pallet}.{entry}")

    # --- limits -----------------------------------------------------------------------------------

    def weight(self, value: Any) -> Weight:
        """Return a decoded weight of either generation."""
        if isinstance(value, dict):
            return Weight(int(value["ref_time"]), int(value.get("proof_size", 0)))
        return Weight(int(value))

    @cached_property
    def limits(self) -> Limits:
        """The limits of normal extrinsics; `BridgeError` when the chain states none."""
        weights = self.constant("System", "BlockWeights")
        if weights is None:
            raise BridgeError("the chain states no System.BlockWeights")
        normal = weights["per_class"]["normal"]
        most = normal["max_extrinsic"]
        if most is None:
            most = weights["max_block"]
        length = self.constant("System", "BlockLength")
        size = length["normal"] if "normal" in length else length["max"]["normal"]
        total = normal["max_total"]
        return Limits(
            self.weight(most),
            int(size),
            self.constant("Utility", "batched_calls_limit"),
            self.weight(weights["max_block"] if total is None else total),
            self.weight(normal["base_extrinsic"]),
        )
