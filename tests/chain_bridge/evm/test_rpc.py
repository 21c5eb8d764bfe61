"""Nodes that lie, drip, flood or talk of something else: each request ends in one line."""

import json
import socket
import threading
import time

import psutil
import pytest

from chain_bridge import Options
from chain_bridge.errors import BridgeError, ChainSilentError, PlanError, RpcError, SafetyError
from chain_bridge.evm import node, rpc
from chain_bridge.evm.rpc import TOGETHER, Rpc
from chain_bridge.evm.witness import EvmOptions, _chain
from tests.conftest import PATIENCE_S

TIMEOUT_S = 0.5


class Liar:
    """An HTTP server of one behaviour: `reply(request, connection)` answers each request."""

    def __init__(self, reply):
        self.reply = reply
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.over = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while not self.over.is_set():
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while True:
                    size = 0
                    while (line := stream.readline()) not in (b"\r\n", b""):
                        if line.lower().startswith(b"content-length:"):
                            size = int(line.split(b":")[1])
                    if not line:
                        return
                    self.reply(json.loads(stream.read(size)), connection)
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listening.close()


def answer(connection, body, status="200 OK"):
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def result(value):
    def reply(request, connection):
        body = {"jsonrpc": "2.0", "id": request["id"], "result": value}
        answer(connection, json.dumps(body).encode())

    return reply


def raw(body):
    return lambda request, connection: answer(connection, body)


def drip(request, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def headers(request, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X: y\r\n")
        time.sleep(0.02)


def flood(request, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    while True:
        connection.sendall(piece)


def hang_up(request, connection):
    connection.shutdown(socket.SHUT_RDWR)


def silence(request, connection):
    time.sleep(PATIENCE_S)


@pytest.mark.parametrize("reply", [drip, silence, hang_up])
def test_who_does_not_answer_in_time_is_silent(reply):
    with Liar(reply) as liar, Rpc(liar.url, TIMEOUT_S) as ask:
        with pytest.raises(ChainSilentError) as error:
            ask("eth_chainId")
        assert liar.url in str(error.value)
        assert "\n" not in str(error.value)


def test_endless_headers_end():
    with Liar(headers) as liar, Rpc(liar.url, TIMEOUT_S) as ask, pytest.raises(BridgeError):
        ask("eth_chainId")


def test_a_flood_is_cut(monkeypatch):
    monkeypatch.setattr(rpc, "MOST_BYTES", 1 << 20)
    too_much = pytest.raises(BridgeError, match="sent more than 1 MB")
    with Liar(flood) as liar, Rpc(liar.url, PATIENCE_S) as ask, too_much:
        ask("eth_chainId")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"id": 1}',
        b'{"id": 99, "result": "0x1"}',
        b'{"id": 1, "result": 31337}',
        b'{"id": 1, "result": "0xzz"}',
        b'{"id": 1, "error": "no"}',
        b'{"id": 1, "error": {"message": 3}}',
        b"\xff\xfe",
    ],
)
def test_what_no_node_answers_is_refused(body):
    with Liar(raw(body)) as liar, Rpc(liar.url, PATIENCE_S) as ask:
        with pytest.raises(BridgeError, match="is no EVM node") as error:
            ask("eth_chainId")
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 300


def test_answers_to_many_requests_may_come_in_any_order():
    def reply(requests, connection):
        found = [{"id": r["id"], "result": "0x" + r["params"][0]} for r in requests]
        answer(connection, json.dumps(found[::-1]).encode())

    with Liar(reply) as liar, Rpc(liar.url, PATIENCE_S) as ask:
        assert ask.many("eth_call", [["01"], ["02"], ["03"]]) == ["0x01", "0x02", "0x03"]
        assert ask.many("eth_call", []) == []


def test_many_requests_are_asked_in_parts_that_a_node_takes():
    sizes = []

    def reply(requests, connection):
        sizes.append(len(requests))
        found = [{"id": r["id"], "result": r["params"][0]} for r in requests]
        answer(connection, json.dumps(found).encode())

    asked = [[f"0x{number:04x}"] for number in range(2 * TOGETHER + 1)]
    with Liar(reply) as liar, Rpc(liar.url, PATIENCE_S) as ask:
        assert ask.many("eth_call", asked) == [text for (text,) in asked]
    assert sizes == [TOGETHER, TOGETHER, 1]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"[null, 1]",
        b'[{"id": 1, "result": "0x"}]',
        b'[{"id": 1, "result": "0x"}, {"id": 1, "result": "0x"}]',
        b'[{"id": 1, "result": "0x"}, {"id": [2], "result": "0x"}]',
        b'[{"id": 1, "result": "0x"}, {"id": "2", "result": "0x"}]',
        b'[{"id": 1, "result": "0x"}, {"id": 2, "result": 3}]',
        b'[{"id": 1, "result": "0x"}, {"id": 2, "error": "no"}]',
        b'{"id": 1, "error": {"message": "no batches here"}}',
    ],
)
def test_what_no_node_answers_to_many_requests_is_refused(body):
    with Liar(raw(body)) as liar, Rpc(liar.url, PATIENCE_S) as ask:
        with pytest.raises(BridgeError, match="is no EVM node") as error:
            ask.many("eth_call", [["01"], ["02"]])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("eth_getBlockReceipts", [{"status": "0x1"}]),
        ("eth_getBlockReceipts", {}),
        ("eth_getBlockByNumber", {"number": 3}),
        ("eth_call", "0x123"),
        ("eth_sendRawTransaction", "0x12"),
        ("web3_clientVersion", "x" * 1_000),
        ("debug_traceTransaction", {"output": 3}),
    ],
)
def test_answers_have_their_form(method, value):
    refused = pytest.raises(BridgeError, match=f"to {method}")
    with Liar(result(value)) as liar, Rpc(liar.url, PATIENCE_S) as ask, refused:
        ask(method)


def test_refusals_keep_their_reason():
    def reply(request, connection):
        fault = {"code": -32003, "message": "nonce too low\nand more", "data": "0x12"}
        answer(connection, json.dumps({"id": request["id"], "error": fault}).encode())

    with Liar(reply) as liar, Rpc(liar.url, PATIENCE_S) as ask:
        with pytest.raises(RpcError) as error:
            ask("eth_sendRawTransaction", "0x")
        assert error.value.code == -32003
        assert "nonce too low" in error.value.message
        assert "\n" not in str(error.value)


def test_a_connection_is_kept_and_opened_again():
    with Liar(result("0x7a69")) as liar, Rpc(liar.url, PATIENCE_S) as ask:
        assert [ask("eth_chainId") for _ in range(3)] == ["0x7a69"] * 3
        ask.close()
        assert ask("eth_chainId") == "0x7a69"


def test_another_server_is_status_told():
    def reply(request, connection):
        answer(connection, b"not here", "404 Not Found")

    told = pytest.raises(BridgeError, match="status 404")
    with Liar(reply) as liar, Rpc(liar.url, PATIENCE_S) as ask, told:
        ask("eth_chainId")


# --- whose keys sign where ------------------------------------------------------------------------


def opening(options):
    """Return the message by which a chain is refused before anything is signed."""
    with pytest.raises(SafetyError) as error, _chain(options):
        pass
    return str(error.value)


@pytest.mark.parametrize("chain_id", [1, 137, 11_155_111])
def test_a_live_chain_is_refused_whatever_is_allowed(chain_id):
    with Liar(result(hex(chain_id))) as liar:
        message = opening(EvmOptions(liar.url, allow_endpoint=True))
    assert "no development chain" in message


def test_another_node_must_be_allowed_and_fresh(evm_programs):
    with node.start() as other:
        assert "--allow-endpoint" in opening(EvmOptions(other.url))
        with _chain(EvmOptions(other.url, allow_endpoint=True)) as (ask, chain_id):
            assert chain_id == node.CHAIN_ID
            ask("evm_mine")
        assert "has blocks already" in opening(EvmOptions(other.url, allow_endpoint=True))
        with pytest.raises(BridgeError, match="no block"):
            node.verify(other.url)


def test_the_node_listens_on_this_machine_only_and_ends(evm_programs):
    with node.start() as own:
        process = psutil.Process(own.pid)
        addresses = {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"}
        assert addresses == {"127.0.0.1"}
        assert own.alive()
    assert not own.alive()
    with pytest.raises(ChainSilentError):
        node.verify(own.url)


@pytest.mark.parametrize(
    "url", ["http://[::1", f"http://{'a' * 64}.org", "ftp://host", "http://h:x"]
)
def test_what_is_no_address_is_told_in_one_line(url):
    with pytest.raises(PlanError, match="--endpoint") as error:
        Rpc(url)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [Options, EvmOptions])
@pytest.mark.parametrize("timeout_s", [0.0, -1.0, 1e20, float("inf"), float("nan")])
def test_a_deadline_that_is_none_is_refused(options, timeout_s):
    with pytest.raises(PlanError, match="--timeout"):
        options(timeout_s=timeout_s)
