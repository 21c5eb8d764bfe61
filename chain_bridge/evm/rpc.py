"""JSON-RPC over HTTP with a deadline and a size limit on every answer, each checked for its form.

A connection is kept; whatever the other end does, a request ends within its time.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import StringConstraints
from typing_extensions import TypedDict

from chain_bridge.address import address
from chain_bridge.answers import Forms, Hash, Hex, Name
from chain_bridge.errors import BridgeError, ChainSilentError, RpcError
from fedstake.outside import shown

TOGETHER = 1_000
"""Requests that are asked at once: a tenth of what a node takes in one."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of an answer at most; the receipts of a full block have less than 10 MB."""

Quantity = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{1,64}$")]
Address = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-fA-F]{40}$")]


class _Log(TypedDict):
    address: Address
    topics: list[Hash]
    data: Hex


class _Receipt(TypedDict):
    transactionHash: Hash
    status: Quantity
    gasUsed: Quantity
    contractAddress: Address | None
    logs: list[_Log]


class _Block(TypedDict):
    number: Quantity
    hash: Hash
    stateRoot: Hash
    timestamp: Quantity
    gasUsed: Quantity


class _Trace(TypedDict, total=False):
    output: Hex
    error: str


FORMS: dict[str, Any] = {
    "debug_traceTransaction": _Trace,
    "eth_blockNumber": Quantity,
    "eth_call": Hex,
    "eth_chainId": Quantity,
    "eth_getBlockByNumber": _Block,
    "eth_getBlockReceipts": list[_Receipt],
    "eth_sendRawTransaction": Hash,
    "web3_clientVersion": Name,
}
"""By method; the answers to all others are not read."""
_is_proper = Forms(FORMS).is_proper


class FloodError(Exception):
    """An endpoint sent more than `MOST_BYTES` for one request."""


class _Answer(io.RawIOBase):
    """What arrives on a socket until a moment, and not more than so many bytes."""

    def __init__(self, connected: socket.socket, until: float) -> None:
        self._connected, self._until, self._left = connected, until, MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._connected.settimeout(seconds)
        count = self._connected.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise FloodError
        return count


class _Socket:
    """A socket as `http.client` uses it, whose reads share one deadline."""

    def __init__(self, connected: socket.socket) -> None:
        self._connected = connected
        self.until = 0.0

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Answer(self._connected, self.until), 65_536)

    def sendall(self, data: bytes) -> None:
        self._connected.settimeout(max(0.001, self.until - time.monotonic()))
        self._connected.sendall(data)

    def close(self) -> None:
        self._connected.close()


class Rpc:
    """A connection to a node.

    Raises `ChainSilentError` when no whole answer comes in time, `RpcError` when the node refuses,
    `BridgeError` for an answer that no node gives. Not thread safe.
    """

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        place = address(url, "http")
        assert place.hostname is not None
        self.url, self.timeout_s = url, timeout_s
        self._path = place.path or "/"
        self._address = (place.hostname, place.port or 80)
        self._connection: http.client.HTTPConnection | None = None
        self._socket: _Socket | None = None
        self._count = 0

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._socket = None

    def __enter__(self) -> Rpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, method: str, *params: Any) -> Any:
        """Return the result of a method, checked."""
        request = self._request(method, params)
        raw = self._exchange(json.dumps(request).encode(), method)
        return self._result(method, request["id"], self._parsed(method, raw), raw)

    def many(self, method: str, requests: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the results of a method for many parameters, in their order.

        They are asked in as few requests as fit: nodes limit the size of one.
        """
        found = []
        for start in range(0, len(requests), TOGETHER):
            found += self._together(method, requests[start : start + TOGETHER])
        return found

    def _together(self, method: str, requests: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the results of a method for some parameters, asked at once."""
        batch = [self._request(method, params) for params in requests]
        raw = self._exchange(json.dumps(batch).encode(), method)
        answers = self._parsed(method, raw)
        if not isinstance(answers, list):
            raise self._strange(method, _beginning(raw))
        # A node may answer in another order.
        numbered = {str(a.get("id")): a for a in answers if isinstance(a, dict)}
        found = []
        for request in batch:
            number = request["id"]
            found.append(self._result(method, number, numbered.get(str(number)), raw))
        return found

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        self._count += 1
        return {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}

    def _parsed(self, method: str, raw: bytes) -> Any:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise self._strange(method, _beginning(raw)) from None

    def _result(self, method: str, asked: int, answer: Any, raw: bytes) -> Any:
        """Return the result of an answer to a request; raise an error where it has none."""
        if not isinstance(answer, dict) or "id" not in answer:
            raise self._strange(method, _beginning(raw))
        number, fault, result = answer["id"], answer.get("error"), answer.get("result")
        if number != asked:
            raise self._strange(method, f"the answer to request {number!r}")
        if fault is not None:
            raise self._refusal(method, fault)
        if not _is_proper(method, result):
            raise self._strange(method, json.dumps(result)[:60])
        return result

    def _exchange(self, body: bytes, method: str) -> bytes:
        """Send a request and return the body of its answer."""
        until = time.monotonic() + self.timeout_s
        try:
            connection, connected = self._open()
            connected.until = until
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            raw = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise self._strange(method, f"status {answer.status}")
        except FloodError:
            self.close()
            limit = MOST_BYTES // 2**20
            raise BridgeError(f"{self.url} sent more than {limit} MB for one request") from None
        except TimeoutError:
            self.close()
            raise ChainSilentError(
                f"{self.url} did not answer {method} within {self.timeout_s:g} s"
            ) from None
        except http.client.HTTPException as error:
            self.close()
            if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead):
                raise ChainSilentError(f"{self.url} broke off while {method} was asked") from None
            raise self._strange(method, type(error).__name__) from None
        except OSError as error:
            self.close()
            reason = error.strerror or type(error).__name__
            raise ChainSilentError(f"{self.url} does not answer ({reason})") from None
        return raw

    def _open(self) -> tuple[http.client.HTTPConnection, _Socket]:
        """Return the connection, opened where there is none."""
        if self._connection is None or self._socket is None or self._connection.sock is None:
            connected = socket.create_connection(self._address, self.timeout_s)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = _Socket(connected)
            self._connection = http.client.HTTPConnection(*self._address)
            self._connection.sock = self._socket
        return self._connection, self._socket

    def _refusal(self, method: str, fault: Any) -> BridgeError:
        if not isinstance(fault, dict) or not isinstance(fault.get("message"), str):
            return self._strange(method, json.dumps(fault)[:60])
        code = fault.get("code")
        return RpcError(method, code if type(code) is int else None, shown(fault["message"]))

    def _strange(self, method: str, answer: str) -> BridgeError:
        self.close()
        return BridgeError(f"{self.url} is no EVM node: it answered {shown(answer)!r} to {method}")


def _beginning(raw: bytes) -> str:
    return raw[:60].decode(errors="replace")
