"""Compiled contracts: how their calls are encoded, and what their events and refusals mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import eth_abi
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils import keccak

from chain_bridge.errors import BridgeError, PlanError
from chain_bridge.evm.programs import HERE

ARTIFACTS = HERE / "artifacts"
_REASON = bytes.fromhex("08c379a0")  # Error(string), of require
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)


class Event(NamedTuple):
    """An event of a contract: its name and its values by name."""

    name: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Contract:
    """A compiled contract."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes

    def creation(self, *arguments: Any) -> bytes:
        """Return the data of a transaction that creates it."""
        found = [entry for entry in self.abi if entry["type"] == "constructor"]
        kinds = [_kind(i) for entry in found for i in entry["inputs"]]
        return self.bytecode + self._encoded("its creation", kinds, arguments)

    @cached_property
    def _functions(self) -> dict[str, tuple[bytes, list[str], list[str]]]:
        """By name: selector, types of arguments, types of results."""
        found = {}
        for entry in self.abi:
            if entry["type"] == "function":
                kinds = [_kind(i) for i in entry["inputs"]]
                results = [_kind(o) for o in entry["outputs"]]
                found[entry["name"]] = (_hash(entry)[:4], kinds, results)
        return found

    def call(self, function: str, arguments: Sequence[Any] = ()) -> bytes:
        """Return the data of a call."""
        selector, kinds, _ = self._functions[function]
        return selector + self._encoded(function, kinds, arguments)

    def _encoded(self, what: str, kinds: Sequence[str], arguments: Sequence[Any]) -> bytes:
        """Return arguments as a contract takes them; `PlanError` for one that it cannot take."""
        try:
            return eth_abi.encode(kinds, arguments)
        except (EncodingError, TypeError, ValueError, OverflowError) as error:
            reason = " ".join(str(error).split())[:120]
            raise PlanError(
                f"the run gives {self.name}, {what}, a value that it cannot take: {reason}"
            ) from error

    def result(self, function: str, raw: bytes) -> tuple[Any, ...]:
        """Return what a call gave; `BridgeError` where it cannot be that."""
        try:
            return tuple(eth_abi.decode(self._functions[function][2], raw))
        except (DecodingError, OverflowError, ValueError) as error:
            raise BridgeError(
                f"{self.name}.{function} gave {len(raw)} bytes that cannot be read"
            ) from error

    @cached_property
    def _events(self) -> dict[bytes, dict[str, Any]]:
        return {_hash(entry): entry for entry in self.abi if entry["type"] == "event"}

    def event(self, log: dict[str, Any]) -> Event | None:
        """Return a log of this contract as an event; None where it has none of this kind."""
        topics = [bytes.fromhex(t[2:]) for t in log["topics"]]
        entry = self._events.get(topics[0]) if topics else None
        if entry is None:
            return None
        indexed = [i for i in entry["inputs"] if i["indexed"]]
        plain = [i for i in entry["inputs"] if not i["indexed"]]
        try:
            found = zip(plain, _decoded(plain, bytes.fromhex(log["data"][2:])), strict=True)
            values = {i["name"]: value for i, value in found}
            for i, topic in zip(indexed, topics[1:], strict=True):
                values[i["name"]] = _decoded([i], topic)[0]
        except (DecodingError, OverflowError, ValueError) as error:
            raise BridgeError(f"a log of {self.name}.{entry['name']} cannot be read") from error
        return Event(entry["name"], values)

    @cached_property
    def _errors(self) -> dict[bytes, dict[str, Any]]:
        return {_hash(entry)[:4]: entry for entry in self.abi if entry["type"] == "error"}


def _decoded(inputs: Sequence[dict[str, Any]], raw: bytes) -> tuple[Any, ...]:
    return tuple(eth_abi.decode([_kind(i) for i in inputs], raw))


def _kind(entry: dict[str, Any]) -> str:
    """Return the type of an argument; of a structure with its parts."""
    if not entry["type"].startswith("tuple"):
        return str(entry["type"])
    parts = ",".join(_kind(c) for c in entry["components"])
    return f"({parts}){entry['type'].removeprefix('tuple')}"


def _hash(entry: dict[str, Any]) -> bytes:
    kinds = ",".join(_kind(i) for i in entry["inputs"])
    return keccak(text=f"{entry['name']}({kinds})")


@cache
def load(name: str) -> Contract:
    """Return a compiled contract by name."""
    artifact = json.loads((ARTIFACTS / f"{name}.json").read_text())
    code = bytes.fromhex(artifact["bytecode"][2:])
    return Contract(name, artifact["abi"], code)


@cache
def names() -> tuple[str, ...]:
    """Return the names of all compiled contracts."""
    return tuple(sorted(path.stem for path in ARTIFACTS.glob("*.json")))


def refusal(raw: bytes) -> str:
    """Return the name of the error by which any contract of ours refused a call."""
    selector = raw[:4]
    if selector == _REASON:
        return "require"
    if selector == _PANIC:
        return f"Panic({int.from_bytes(raw[4:36], 'big'):#x})"
    for name in names():
        entry = load(name)._errors.get(selector)
        if entry is not None:
            return str(entry["name"])
    return f"0x{selector.hex()}" if raw else "no reason"
