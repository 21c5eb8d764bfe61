"""SCALE encoding and decoding compiled from a chain's own type registry (metadata V14).

The library's codec builds an object per value, which takes a millisecond per call of a batch; here
each type becomes one closure. The tests compare extrinsics byte for byte with the library's.

Values: integers, booleans, `bytes` for sequences and arrays of u8, lists, tuples; a composite with
names is a dict, one with a single unnamed field is that field; a variant is `(name, dict or tuple
of its fields)`; an option is the value or None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chain_bridge.errors import BridgeError

Encoder = Callable[[Any], bytes]
Decoder = Callable[[bytes, int], tuple[Any, int]]

_INTEGERS = {
    f"{sign}{bits}": (bits // 8, sign == "i")
    for bits in (8, 16, 32, 64, 128, 256)
    for sign in ("u", "i")
}  # name -> bytes, signed
_SMALL, _TWO, _FOUR = 1 << 6, 1 << 14, 1 << 30


def compact(value: int) -> bytes:
    """Return a compact integer (SCALE: 1, 2, 4 bytes or a length and the bytes)."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    if value < _SMALL:
        return bytes([value << 2])
    if value < _TWO:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < _FOUR:
        return (value << 2 | 2).to_bytes(4, "little")
    size = (value.bit_length() + 7) // 8
    return bytes([(size - 4) << 2 | 3]) + value.to_bytes(size, "little")


def read_compact(data: bytes, at: int) -> tuple[int, int]:
    """Return a compact integer and where the next value begins."""
    mode = data[at] & 3
    if mode == 0:
        return data[at] >> 2, at + 1
    if mode < 3:
        size = 2 * mode
        return int.from_bytes(data[at : at + size], "little") >> 2, at + size
    size = (data[at] >> 2) + 4
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


class Codec:
    """Encoders and decoders for the types of one runtime.

    A kind of type that is not known raises `BridgeError` at its first use.
    """

    def __init__(self, types: Sequence[dict[str, Any]]) -> None:
        self._types = {t["id"]: t["type"] for t in types}
        self._encoders: dict[int, Encoder] = {}
        self._decoders: dict[int, Decoder] = {}

    def type_of(self, kind: int) -> dict[str, Any]:
        """Return the registry's own description of a type."""
        return self._types[kind]

    def encode(self, kind: int, value: Any) -> bytes:
        """Return the bytes of a value.

        Raises `KeyError`, `TypeError` or `ValueError` when it does not fit the type.
        """
        return self._encoder(kind)(value)

    def decode(self, kind: int, data: bytes) -> Any:
        """Return the value of all bytes; `BridgeError` when some are left over."""
        value, end = self._decoder(kind)(data, 0)
        if end != len(data):
            name = "::".join(self._types[kind]["path"]) or kind
            raise BridgeError(f"{len(data) - end} bytes left over after a {name}")
        return value

    def is_empty(self, kind: int) -> bool:
        """Return whether values of a type take no bytes."""
        (form, described), *_ = self._types[kind]["def"].items()
        if form == "composite":
            return all(self.is_empty(f["type"]) for f in described["fields"])
        return form == "tuple" and all(self.is_empty(t) for t in described)

    # --- compiling --------------------------------------------------------------------------------

    def _encoder(self, kind: int) -> Encoder:
        if kind not in self._encoders:
            # Stands in while a type that holds itself is built.
            self._encoders[kind] = lambda v: self._encoders[kind](v)
            self._encoders[kind] = self._build_encoder(kind)
        return self._encoders[kind]

    def _decoder(self, kind: int) -> Decoder:
        if kind not in self._decoders:
            self._decoders[kind] = lambda data, at: self._decoders[kind](data, at)
            self._decoders[kind] = self._build_decoder(kind)
        return self._decoders[kind]

    def _form(self, kind: int) -> tuple[str, Any]:
        """Return the form of a type (primitive, sequence, ...) and its description."""
        if kind not in self._types:
            raise BridgeError(f"the chain's metadata has no type {kind}")
        (form, described), *_ = self._types[kind]["def"].items()
        return form, described

    def _is_byte(self, kind: int) -> bool:
        return self._form(kind) == ("primitive", "u8")

    def _build_encoder(self, kind: int) -> Encoder:
        form, described = self._form(kind)
        if form == "primitive":
            return _encode_primitive(described)
        if form == "compact":
            return compact
        if form == "sequence":
            inner = self._encoder(described["type"])
            if self._is_byte(described["type"]):
                return lambda v: compact(len(v)) + bytes(v)
            return lambda v: compact(len(v)) + b"".join(map(inner, v))
        if form == "array":
            return self._encode_array(described)
        if form == "tuple":
            parts = [self._encoder(t) for t in described]
            return lambda v: b"".join(e(x) for e, x in zip(parts, v, strict=True))
        if form == "composite":
            return self._encode_fields(described["fields"])
        if form == "variant":
            return self._encode_variant(kind, described["variants"])
        raise BridgeError(f"no encoding for a {form}")

    def _encode_array(self, described: dict[str, Any]) -> Encoder:
        inner, size = self._encoder(described["type"]), described["len"]
        join: Encoder = lambda v: b"".join(map(inner, v))  # noqa: E731 - one of two closures
        if self._is_byte(described["type"]):
            join = bytes

        def encode(v: Any) -> bytes:
            if len(v) != size:
                raise ValueError(f"{len(v)} items where {size} are due")
            return join(v)

        return encode

    def _encode_fields(self, fields: list[dict[str, Any]]) -> Encoder:
        parts = [self._encoder(f["type"]) for f in fields]
        if len(parts) == 1 and fields[0]["name"] is None:
            return parts[0]
        return _encode_parts([f["name"] for f in fields], parts)

    def _encode_variant(self, kind: int, variants: list[dict[str, Any]]) -> Encoder:
        if self._types[kind]["path"] == ["Option"]:
            some = self._encoder(variants[1]["fields"][0]["type"])
            return lambda v: b"\0" if v is None else b"\1" + some(v)
        built: dict[str, Encoder] = {}
        known = {v["name"]: v for v in variants}

        def encode(value: Any) -> bytes:
            name, inner = value
            if name not in built:
                fields = known[name]["fields"]
                head = bytes([known[name]["index"]])
                parts = [self._encoder(f["type"]) for f in fields]
                body = _encode_parts([f["name"] for f in fields], parts)
                built[name] = lambda v: head + body(v)
            return built[name](inner)

        return encode

    def _build_decoder(self, kind: int) -> Decoder:
        form, described = self._form(kind)
        if form == "primitive":
            return _decode_primitive(described)
        if form == "compact":
            return read_compact
        if form == "sequence":
            return self._decode_sequence(described["type"])
        if form == "array":
            return self._decode_array(described["type"], described["len"])
        if form == "tuple":
            return _decode_many([self._decoder(t) for t in described])
        if form == "composite":
            return self._decode_fields(described["fields"])
        if form == "variant":
            return self._decode_variant(kind, described["variants"])
        raise BridgeError(f"no decoding for a {form}")

    def _decode_fields(self, fields: list[dict[str, Any]]) -> Decoder:
        parts = [self._decoder(f["type"]) for f in fields]
        if len(parts) == 1 and fields[0]["name"] is None:
            return parts[0]
        return _decode_parts([f["name"] for f in fields], parts)

    def _decode_sequence(self, inner_kind: int) -> Decoder:
        if self._is_byte(inner_kind):

            def read(data: bytes, at: int) -> tuple[Any, int]:
                size, at = read_compact(data, at)
                return data[at : at + size], at + size

            return read
        inner = self._decoder(inner_kind)

        def decode(data: bytes, at: int) -> tuple[Any, int]:
            size, at = read_compact(data, at)
            items = []
            for _ in range(size):
                item, at = inner(data, at)
                items.append(item)
            return items, at

        return decode

    def _decode_array(self, inner_kind: int, size: int) -> Decoder:
        if self._is_byte(inner_kind):
            return lambda data, at: (data[at : at + size], at + size)
        return _decode_many([self._decoder(inner_kind)] * size)

    def _decode_variant(self, kind: int, variants: list[dict[str, Any]]) -> Decoder:
        if self._types[kind]["path"] == ["Option"]:
            some = self._decoder(variants[1]["fields"][0]["type"])
            return lambda data, at: some(data, at + 1) if data[at] else (None, at + 1)
        known = {v["index"]: v for v in variants}
        built: dict[int, tuple[str, Decoder]] = {}

        def decode(data: bytes, at: int) -> tuple[Any, int]:
            index = data[at]
            if index not in built:
                if index not in known:
                    path = "::".join(self._types[kind]["path"])
                    raise BridgeError(f"variant {index} of {path} is unknown")
                fields = known[index]["fields"]
                parts = [self._decoder(f["type"]) for f in fields]
                fields_of = _decode_parts([f["name"] for f in fields], parts)
                built[index] = (known[index]["name"], fields_of)
            name, body = built[index]
            value, at = body(data, at + 1)
            return (name, value), at

        return decode


def _encode_primitive(name: str) -> Encoder:
    if name == "bool":
        return lambda v: b"\1" if v else b"\0"
    if name == "str":
        return lambda v: compact(len(v.encode())) + v.encode()
    if name in _INTEGERS:
        size, signed = _INTEGERS[name]
        return lambda v: v.to_bytes(size, "little", signed=signed)
    raise BridgeError(f"no encoding for a {name}")


def _decode_primitive(name: str) -> Decoder:
    if name == "bool":
        return lambda data, at: (bool(data[at]), at + 1)
    if name == "str":

        def text(data: bytes, at: int) -> tuple[Any, int]:
            size, at = read_compact(data, at)
            return data[at : at + size].decode(), at + size

        return text
    if name in _INTEGERS:
        size, signed = _INTEGERS[name]
        return lambda data, at: (
            int.from_bytes(data[at : at + size], "little", signed=signed),
            at + size,
        )
    raise BridgeError(f"no decoding for a {name}")


def _encode_parts(names: list[str | None], parts: list[Encoder]) -> Encoder:
    if names and names[0] is not None:
        return lambda v: b"".join(e(v[n]) for n, e in zip(names, parts, strict=True))
    return lambda v: b"".join(e(x) for e, x in zip(parts, v, strict=True))


def _decode_parts(names: list[str | None], parts: list[Decoder]) -> Decoder:
    many = _decode_many(parts)
    if names and names[0] is not None:

        def decode(data: bytes, at: int) -> tuple[Any, int]:
            values, at = many(data, at)
            return dict(zip(names, values, strict=True)), at

        return decode
    return many


def _decode_many(parts: list[Decoder]) -> Decoder:
    def decode(data: bytes, at: int) -> tuple[Any, int]:
        values = []
        for part in parts:
            value, at = part(data, at)
            values.append(value)
        return tuple(values), at

    return decode
