"""Endpoints that lie, drip, flood or talk of something else: each request ends in one line."""

import base64
import hashlib
import json
import socket
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from chain_bridge import wire
from chain_bridge.answers import FORMS, is_proper
from chain_bridge.client import Chain
from chain_bridge.errors import BridgeError, ChainSilentError
from experiments.cli import app
from tests.conftest import PATIENCE_S

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
HASH = "0x" + "ab" * 32
TIMEOUT_S = 0.5
HONEST = {
    "system_chain": "Development",
    "chain_getHeader": {"number": "0x1", "parentHash": HASH},
    "chain_getBlockHash": HASH,
    "state_getRuntimeVersion": {"specName": "x", "specVersion": 1, "transactionVersion": 1},
    "rpc_methods": {"methods": []},
    "state_getMetadata": "0x6d657461",
}


def frame(payload, opcode=1):
    """One whole frame of a server, unmasked."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 2**16:
        length = b"\x7e" + struct.pack("!H", size)
    else:
        length = b"\x7f" + struct.pack("!Q", size)
    return bytes([0x80 | opcode]) + length + payload


class Liar:
    """A WebSocket server of one behaviour: `reply(request, send)` answers each request."""

    def __init__(self, reply, handshake=None):
        self.reply, self.handshake = reply, handshake
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listening.getsockname()[1]}"
        self.over = threading.Event()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while not self.over.is_set():
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        try:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += client.recv(4096)
            if self.handshake:
                self.handshake(client, self.over)
                return
            key = asked.lower().split(b"sec-websocket-key: ")[1]
            key = asked[len(asked) - len(key) :].split(b"\r\n")[0]
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            client.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            while not self.over.is_set():
                self.reply(json.loads(received(client)), client.sendall)
        except (OSError, ValueError, IndexError, struct.error):
            client.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listening.close()


def received(client):
    """The payload of one masked frame of a client."""
    head = exactly(client, 2)
    size = head[1] & 0x7F
    if size == 126:
        size = struct.unpack("!H", exactly(client, 2))[0]
    elif size == 127:
        size = struct.unpack("!Q", exactly(client, 8))[0]
    mask = exactly(client, 4)
    return bytes(b ^ mask[i % 4] for i, b in enumerate(exactly(client, size)))


def exactly(client, size):
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            raise OSError("gone")
        data += more
    return data


def result(request, answer):
    return frame(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer}).encode())


def honest_but(method, answer):
    """Answer as a node does, but to one method."""

    def reply(request, send):
        asked = request["method"]
        send(result(request, answer if asked == method else HONEST.get(asked)))

    return reply


def forever(what, pause=0.02):
    """Send something again and again, for as long as the client listens."""

    def reply(request, send):
        while True:
            send(what(request))
            time.sleep(pause)

    return reply


def whole(text):
    return lambda request, send: send(frame(text(request).encode()))


def answered(request, text):
    return f'{{"jsonrpc": "2.0", "id": {request["id"]}, "result": {text}}}'


def dripping(request, send):
    for byte in result(request, "x" * 100_000):
        send(bytes([byte]))
        time.sleep(0.02)


WAITING = {
    "an empty list": whole(lambda request: "[]"),
    "nothing": lambda request, send: None,
    "wrong ids": forever(lambda request: result({"id": -1}, "x")),
    "pings": forever(lambda request: frame(b"", opcode=9)),
    "notifications": forever(lambda request: frame(b'{"params": {"subscription": "x"}}')),
    "bytes one by one": dripping,
}

WRONG = {
    "a number": whole(lambda request: "7"),
    "nothing in it": whole(lambda request: "{}x"),
    "no JSON": whole(lambda request: "hello"),
    "no result": whole(lambda request: f'{{"id": {request["id"]}}}'),
    "null": whole(lambda request: answered(request, "null")),
    "another type": whole(lambda request: answered(request, '{"a": 1}')),
    "depth": whole(lambda request: answered(request, "[" * 100_000 + "]" * 100_000)),
    "digits": whole(lambda request: answered(request, "9" * 5_000)),
    "not text": lambda request, send: send(frame(b"\xff\xfe", opcode=2)),
    "escapes": whole(lambda request: answered(request, '["\\u001b[31mred"]')),
}


def check_ends(url, kinds=BridgeError, timeout_s=TIMEOUT_S):
    """A connection to the address ends with one plain line."""
    with pytest.raises(kinds) as told, Chain(url, timeout_s) as chain:
        chain.runtime  # noqa: B018
    message = str(told.value)
    assert url in message
    assert message.isprintable()
    assert len(message) < 400
    python = ("NoneType", "recursion", "Error:", "4300 digits", "object")
    assert not any(word in message for word in python), message


@pytest.mark.parametrize("reply", WAITING.values(), ids=WAITING)
def test_an_endpoint_cannot_keep_a_client_waiting(reply):
    with Liar(reply) as liar:
        check_ends(liar.url, ChainSilentError)


@pytest.mark.parametrize("reply", WRONG.values(), ids=WRONG)
def test_what_no_node_answers_is_one_line(reply):
    with Liar(reply) as liar:
        check_ends(liar.url, timeout_s=PATIENCE_S)


def test_the_handshake_has_a_deadline_too():
    def drip(client, over):
        while not over.is_set():
            client.sendall(b"H")
            time.sleep(0.02)

    with Liar(None, handshake=drip) as liar:
        check_ends(liar.url, ChainSilentError)


def test_redirections_are_not_followed():
    asked = []

    def redirect(client, over):
        client.sendall(b"HTTP/1.1 301 Moved\r\nLocation: " + other.url.encode() + b"\r\n\r\n")

    other = Liar(lambda request, send: asked.append(request))
    with other, Liar(None, handshake=redirect) as liar:
        check_ends(liar.url, ChainSilentError)
    assert not asked


def test_a_flood_is_cut_off(monkeypatch):
    monkeypatch.setattr(wire, "MOST_BYTES", 2**20)
    sent = []

    def flood(request, send):
        send(b"\x81\x7f" + struct.pack("!Q", 2**40))
        while True:
            send(b'"' * 2**16)
            sent.append(2**16)

    refused = pytest.raises(BridgeError, match="sent more than 1 MB for one request")
    with Liar(flood) as liar, refused:
        Chain(liar.url, PATIENCE_S)
    assert sum(sent) < 2**25, "what fits into the buffers of sockets and not much more"


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(HASH),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=15)
@given(method=st.sampled_from(sorted(HONEST)), answer=ODD)
def test_any_answer_to_any_method_is_one_line(method, answer):
    with Liar(honest_but(method, answer)) as liar:
        check_ends(liar.url)


@given(method=st.sampled_from(sorted(FORMS)), answer=ODD)
def test_forms_are_checked_without_a_crash(method, answer):
    assert is_proper(method, answer) in (True, False)


def test_replay_and_dry_run_end_with_exit_code_1(recorded, tmp_path):
    with Liar(WAITING["pings"]) as liar:
        words = ["replay", str(recorded()), "--endpoint", liar.url, "--out", str(tmp_path / "o")]
        done = CliRunner().invoke(app, [*words, "--timeout", str(TIMEOUT_S)])
    assert done.exit_code == 1
    assert len(done.output.strip().splitlines()) == 1
