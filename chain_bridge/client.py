"""A connection to a chain: that of substrate-interface, with a deadline on every answer."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset
from substrateinterface import SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException
from websocket import WebSocketException, WebSocketTimeoutException

from chain_bridge.address import address
from chain_bridge.answers import is_proper
from chain_bridge.coin import Coin
from chain_bridge.errors import BridgeError, ChainSilentError, RpcError
from chain_bridge.runtime import Runtime
from chain_bridge.wire import FloodError, Wire
from fedstake.errors import FedstakeError
from fedstake.outside import shown

PAGE = 1000  # keys asked for at once
MOST_COMPUTED = 256  # answers of the runtime that are remembered
SHORTEST_S, LONGEST_S = 0.02, 0.5  # between two looks for a new block


class Head(NamedTuple):
    """A block of the chain."""

    number: int
    hash: str


class Event:
    """One event: its extrinsic (None: of no extrinsic), `Pallet.Event` and its fields in order."""

    __slots__ = ("extrinsic", "fields", "name")

    def __init__(self, extrinsic: int | None, name: str, fields: tuple[Any, ...]) -> None:
        self.extrinsic = extrinsic
        self.name = name
        self.fields = fields

    def __repr__(self) -> str:
        return f"Event({self.extrinsic}, {self.name}, {self.fields})"


class Chain:
    """A chain behind a WebSocket address.

    Whatever the other end does, a request ends within `timeout_s` seconds, or with
    `ChainSilentError`, and reads a bounded number of bytes. An answer that no node gives is a
    `BridgeError`. Not thread safe: use one connection per thread, as the library requires.
    """

    def __init__(self, url: str, timeout_s: float = 30.0) -> None:
        address(url, "ws", "wss")
        self.url = url
        self.timeout_s = timeout_s
        self._wire: Wire | None = None
        self._connection: SubstrateInterface | None = None
        # Several batches are in one block: what a block holds never changes.
        self._last_bodies: tuple[str, list[bytes]] = ("", [])
        self._last_events: tuple[str, list[Event]] = ("", [])
        self._computed: dict[tuple[str, str, str], bytes] = {}
        self._connect()

    def _connect(self) -> tuple[SubstrateInterface, Wire]:
        if self._connection is None or self._wire is None:
            try:
                # The library's check of UTF-8 is slow, byte by byte in Python; JSON checks it.
                self._wire = Wire(skip_utf8_validation=True)
                self._wire.connect(self.url, timeout=self.timeout_s)
                with self._wire.within(self.timeout_s):
                    self._connection = SubstrateInterface(
                        websocket=self._wire,
                        use_remote_preset=False,
                        auto_discover=False,  # asks for names before it has looked at an answer
                        # What was sent may have arrived: ask the chain, do not send it again.
                        auto_reconnect=False,
                    )
                    name = self._connection.rpc_request("system_chain", [])["result"]
            except (OSError, WebSocketException) as error:
                self.close()
                raise ChainSilentError(
                    f"no chain answers at {self.url} ({_words(error)})"
                ) from error
            except Exception as error:  # another server answers: the library may raise anything
                self.close()
                raise ChainSilentError(
                    f"{self.url} answers, but is no Substrate node ({_words(error)})"
                ) from error
            self._check("system_chain", name)
        return self._connection, self._wire

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._wire is not None:
            with contextlib.suppress(Exception):
                self._wire.shutdown()  # without the ceremony, for which it would have to answer
        self._connection = self._wire = None

    def __enter__(self) -> Chain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rpc(self, method: str, *params: Any) -> Any:
        """Return the result of a request.

        Raises `RpcError` when the chain refuses it, `ChainSilentError` when no answer comes,
        `BridgeError` when the answer is not what a node gives.
        """
        connection, wire = self._connect()
        with self._answering(method), wire.within(self.timeout_s):
            answer = connection.rpc_request(method, list(params))["result"]
        self._check(method, answer)
        return answer

    @contextlib.contextmanager
    def _answering(self, method: str) -> Iterator[None]:
        """Turn what the libraries raise while a method is answered into errors of the bridge."""
        try:
            yield
        except SubstrateRequestException as error:
            answer = error.args[0] if error.args else ""
            if isinstance(answer, dict):
                raise RpcError(method, answer.get("code"), _refusal(answer)) from error
            self.close()
            raise BridgeError(
                f"{self.url} gave no proper answer to {method} ({shown(str(answer))})"
            ) from error
        except (TimeoutError, WebSocketTimeoutException) as error:
            self.close()
            raise ChainSilentError(
                f"{self.url} did not answer {method} within {self.timeout_s:g} s"
            ) from error
        except (WebSocketException, OSError) as error:
            self.close()
            raise ChainSilentError(
                f"{self.url} broke off during {method} ({_words(error)})"
            ) from error
        except Exception as error:  # an answer of any form: the library may raise anything
            self.close()
            raise BridgeError(
                f"{self.url} gave no proper answer to {method} ({_words(error)})"
            ) from error

    def _check(self, method: str, answer: Any) -> None:
        """Raise `BridgeError` unless an answer has the form that nodes give it."""
        if not is_proper(method, answer):
            self.close()
            raise BridgeError(
                f"{self.url} is no Substrate node: it answered {_short(answer)} to {method}"
            )

    @contextlib.contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Raise `BridgeError` when something that the chain gave cannot be decoded."""
        try:
            yield
        except FedstakeError:
            raise
        except Exception as error:  # bytes of any content: decoding may raise anything
            raise BridgeError(
                f"{self.url} gave {what} that cannot be read ({_words(error)})"
            ) from error

    # --- what the chain is ------------------------------------------------------------------------

    @cached_property
    def runtime(self) -> Runtime:
        """The runtime of the head: metadata, versions, RPC methods."""
        version = self.rpc("state_getRuntimeVersion")
        raw = self.rpc("state_getMetadata", self.head().hash)
        with self._answering("state_getMetadata"):
            metadata = _decoded(raw)
            version_of_metadata = next(iter(metadata))
        if version_of_metadata != "V14":
            raise BridgeError(f"{self.url}: metadata {version_of_metadata}; this bridge reads V14")
        methods = self.rpc("rpc_methods")["methods"]
        return Runtime(
            spec_name=version["specName"],
            spec_version=version["specVersion"],
            transaction_version=version["transactionVersion"],
            metadata=metadata[version_of_metadata],
            methods=frozenset(methods),
        )

    @cached_property
    def genesis(self) -> str:
        return self._hash_of(0)

    @cached_property
    def coin(self) -> Coin:
        """The native token; without a name and decimals where the chain does not tell them."""
        if "system_properties" not in self.runtime.methods:
            return Coin()
        return Coin.of(self.rpc("system_properties"))

    # --- blocks -----------------------------------------------------------------------------------

    def head(self) -> Head:
        """Return the best block."""
        header = self.rpc("chain_getHeader")
        number = int(header["number"], 16)
        return Head(number, self._hash_of(number))

    def finalized(self) -> Head:
        """Return the last block that cannot be undone."""
        found = self.rpc("chain_getFinalizedHead")
        return Head(int(self.rpc("chain_getHeader", found)["number"], 16), found)

    def _hash_of(self, number: int) -> str:
        """Return the hash of a block that must be there."""
        found = self.block_hash(number)
        if found is None:
            raise BridgeError(f"{self.url} has no block {number}")
        return found

    def block_hash(self, number: int) -> str | None:
        """Return the hash of a block of the best chain; None above its head."""
        return self.rpc("chain_getBlockHash", number)

    def extrinsics(self, block: str) -> list[bytes]:
        """Return the bytes of a block's extrinsics; of the same block again without asking."""
        if block == self._last_bodies[0]:
            return self._last_bodies[1]
        found = self.rpc("chain_getBlock", block)
        if found is None:
            raise BridgeError(f"{self.url} has no block {block}")
        bodies = [bytes.fromhex(x[2:]) for x in found["block"]["extrinsics"]]
        self._last_bodies = block, bodies
        return bodies

    def parent(self, block: str) -> str:
        return self.rpc("chain_getHeader", block)["parentHash"]

    # --- state ------------------------------------------------------------------------------------

    def read(self, pallet: str, entry: str, *keys: bytes, at: str | None = None) -> Any:
        """Return a stored value, decoded; its default where nothing is stored."""
        key = "0x" + self.runtime.storage_key(pallet, entry, *keys).hex()
        raw = self.rpc("state_getStorage", key, *_at(at))
        if raw is None:
            return self.runtime.storage_default(pallet, entry)
        return self._value(pallet, entry, raw)

    def _value(self, pallet: str, entry: str, raw: str) -> Any:
        """Return a stored value, decoded."""
        with self.reading(f"a value of {pallet}.{entry}"):
            return self.runtime.storage_value(pallet, entry, bytes.fromhex(raw[2:]))

    def read_many(
        self, pallet: str, entry: str, keys: Sequence[tuple[bytes, ...]], at: str | None = None
    ) -> list[Any]:
        """Return stored values under many keys, asked in pages; None where nothing is stored."""
        wanted = ["0x" + self.runtime.storage_key(pallet, entry, *k).hex() for k in keys]
        found: list[Any] = []
        for start in range(0, len(wanted), PAGE):
            page = wanted[start : start + PAGE]
            changes = dict(self.rpc("state_queryStorageAt", page, *_at(at))[0]["changes"])
            for key in page:
                raw = changes.get(key)
                if raw is None:
                    found.append(None)
                else:
                    found.append(self._value(pallet, entry, raw))
        return found

    def entries(
        self, pallet: str, entry: str, *keys: bytes, at: str
    ) -> Iterator[tuple[bytes, Any]]:
        """Yield all (key, value) of a map under its first keys; the key as its raw bytes."""
        prefix = "0x" + self.runtime.storage_key(pallet, entry, *keys).hex()
        last = None
        while True:
            found = self.rpc("state_getKeysPaged", prefix, PAGE, last, at)
            changes: dict[str, str | None] = {}
            if found:
                changes = dict(self.rpc("state_queryStorageAt", found, at)[0]["changes"])
            for key, raw in changes.items():
                if raw is not None:
                    yield bytes.fromhex(key[2:]), self._value(pallet, entry, raw)
            if len(found) < PAGE:
                return
            if found[-1] == last:
                raise BridgeError(f"{self.url} gives the same keys of {pallet}.{entry} again")
            last = found[-1]

    def events(self, block: str) -> list[Event]:
        """Return the events of a block, in order; of the same block again without asking."""
        if block == self._last_events[0]:
            return self._last_events[1]
        records = self.read("System", "Events", at=block) or ()
        with self.reading("events"):
            events = [_event(record) for record in records]
        self._last_events = block, events
        return events

    def compute(self, function: str, data: bytes, at: str | None = None) -> bytes:
        """Return what a function of the runtime gives; at a named block, asked for once."""
        asked = function, "0x" + data.hex(), at or ""
        if asked in self._computed:
            return self._computed[asked]
        raw = self.rpc("state_call", *asked[:2], *_at(at))
        found = bytes.fromhex(raw[2:])
        if at:
            if len(self._computed) >= MOST_COMPUTED:
                self._computed.clear()
            self._computed[asked] = found
        return found

    # --- sealing ----------------------------------------------------------------------------------

    @cached_property
    def sealing(self) -> Literal["on demand", "by itself"]:
        """Whether blocks are made when this client asks for them, or by the node itself."""
        return "on demand" if "dev_newBlock" in self.runtime.methods else "by itself"

    def wait_for(self, number: int, deadline_s: float) -> Head:
        """Wait until the head has reached a number and return it.

        Raises `ChainSilentError` after the deadline.
        """
        until = time.monotonic() + deadline_s
        pause_s = SHORTEST_S
        while True:
            head = self.head()
            if head.number >= number:
                return head
            if time.monotonic() > until:
                raise ChainSilentError(
                    f"{self.url} made no block {number} within {deadline_s:g} s "
                    f"(head is {head.number})"
                )
            time.sleep(min(pause_s, deadline_s / 20))
            pause_s = min(2 * pause_s, LONGEST_S)


@lru_cache(maxsize=2)
def _decoded(metadata: str) -> dict[str, Any]:
    """Return metadata by their version, decoded: a second of work, once for all connections."""
    types = RuntimeConfigurationObject(implements_scale_info=True)
    types.update_type_registry(load_type_registry_preset("core"))
    versioned = types.create_scale_object("MetadataVersioned", data=ScaleBytes(metadata))
    versioned.decode()
    return versioned.value[1]


def _at(block: str | None) -> list[str]:
    """Return the parameter that names a block; none means the head."""
    return [block] if block else []


def _event(record: Any) -> Event:
    """Return one event of a decoded record."""
    pallet, ((name, fields),) = record["event"]
    phase, values = record["phase"]
    extrinsic = values[0] if phase == "ApplyExtrinsic" else None
    return Event(extrinsic, f"{pallet}.{name}", _values(fields))


def _short(answer: Any) -> str:
    """Return the beginning of an answer, without control characters."""
    text = shown(repr(answer)[:200])
    return f"{text[:60]}..." if len(text) > 60 else text


def _values(fields: Any) -> tuple[Any, ...]:
    return tuple(fields.values()) if isinstance(fields, dict) else tuple(fields)


def _words(error: BaseException) -> str:
    """Return the first line of an error, without what the library hangs on to it."""
    if not isinstance(error, OSError | WebSocketException | FloodError | json.JSONDecodeError):
        return "it has another form than that of a node"
    lines = str(error).strip().splitlines()
    return shown(lines[0].split(" -+-+- ")[0][:200]) if lines else type(error).__name__


def _refusal(answer: dict[str, Any]) -> str:
    message, data = answer.get("message", "no reason given"), answer.get("data")
    whole = f"{message} ({data})" if data else str(message)
    return shown(whole[:500])
