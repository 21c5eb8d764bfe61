"""Keys, signatures and encodings, against published vectors."""

import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain_bridge.errors import SafetyError
from chain_bridge.evm.accounts import Account, created_address, escrow_address, rlp
from chain_bridge.evm.contracts import load, names, refusal
from tests.chain_bridge.evm.ring import Ring


def account(secret):
    found = Account(b"", "vector")
    found._key = coincurve.PrivateKey(bytes.fromhex(secret))
    return found


def test_lists_of_strings():
    """Ethereum yellow paper, appendix B, and the tests of its clients."""
    assert rlp([]) == b"\xc0"
    assert rlp([b"cat", b"dog"]) == b"\xc8\x83cat\x83dog"
    assert rlp([b"", b"\x0f", b"\x80"]).hex() == "c4800f8180"
    long = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit"
    assert rlp([long]) == b"\xf8\x3a\xb8\x38" + long


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_what_was_encoded_is_read_back(items):
    raw, found = rlp(items), []

    def length(at, base):
        size = raw[at] - base
        if size < 56:
            return at + 1, size
        width = size - 55
        return at + 1 + width, int.from_bytes(raw[at + 1 : at + 1 + width], "big")

    at, whole = length(0, 0xC0)
    assert at + whole == len(raw)
    while at < len(raw):
        if raw[at] < 0x80:
            found.append(raw[at : at + 1])
            at += 1
            continue
        start, size = length(at, 0x80)
        found.append(raw[start : start + size])
        at = start + size
    assert found == items


def test_created_addresses():
    """The first contracts of a well-known account: keccak(rlp([sender, nonce]))."""
    sender = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert created_address(sender, 0) == "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert created_address(sender, 1) == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"


def test_signatures_are_those_of_the_standard():
    """A signed transaction is read back by an independent library: sender and content."""
    from eth_keys import keys
    from eth_utils import keccak

    signer = Account(b"r" * 16, "device:3")
    raw = signer.sign(31_337, 7, 90_000, "0x" + "35" * 20, b"data")
    assert raw == signer.sign(31_337, 7, 90_000, "0x" + "35" * 20, b"data")
    # v, r, s are the last three strings: 3 bytes and twice 33.
    r, s = raw[-65:-33], raw[-32:]
    v = int.from_bytes(raw[-68:-66], "big")
    body = [b"\7", b"", (90_000).to_bytes(3, "big"), b"\x35" * 20, b"", b"data"]
    digest = keccak(rlp([*body, (31_337).to_bytes(2, "big"), b"", b""]))
    numbers = (v - 35 - 2 * 31_337, int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    public = keys.Signature(vrs=numbers).recover_public_key_from_msg_hash(digest)
    assert public.to_address() == signer.address


def test_accounts_follow_from_run_and_name():
    one = Account(b"a" * 16, "device:1")
    assert one.address == Account(b"a" * 16, "device:1").address
    others = [Account(b"a" * 16, "device:2"), Account(b"b" * 16, "device:1")]
    assert len({one.address, *(a.address for a in others)}) == 3
    assert one._key.secret.hex() not in repr(one)


@pytest.mark.parametrize("chain_id", [0, 1, 10, 137, 8453, 42_161, 11_155_111])
def test_keys_of_the_public_seed_sign_for_no_live_chain(chain_id):
    with pytest.raises(SafetyError, match=f"chain id {chain_id}"):
        Account(b"a" * 16, "device:1").sign(chain_id, 0, 21_000, "0x" + "00" * 20, b"")


def test_selectors_and_events():
    token = load("RunToken")
    call = token.call("transfer", ("0x" + "11" * 20, 5)).hex()
    assert call[:8] == "a9059cbb"
    transfer = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    topics = [transfer, "0x" + "00" * 12 + "11" * 20, "0x" + "00" * 12 + "22" * 20]
    event = token.event({"topics": topics, "data": "0x" + f"{9:064x}"})
    assert event.name == "Transfer"
    assert event.values == {"from": "0x" + "11" * 20, "to": "0x" + "22" * 20, "value": 9}
    assert token.event({"topics": ["0x" + "00" * 32], "data": "0x"}) is None


def test_refusals_have_names():
    assert refusal(b"") == "no reason"
    assert refusal(bytes.fromhex("4e487b71") + (17).to_bytes(32, "big")) == "Panic(0x11)"
    assert refusal(bytes.fromhex("e2517d3f") + bytes(64)) == "AccessControlUnauthorizedAccount"
    assert refusal(b"\1\2\3\4") == "0x01020304"


def test_contracts_book_under_the_addresses_that_are_read():
    terms = (100, 1, 200, 0, 0, 0, *[(1, 2)] * 4, False, 0, "0x" + "0f" * 20, 50, 50, 60, 40)
    ring = Ring("Coordinator", terms)
    assert ring.view("STAKES") == escrow_address("escrow:coordinator-stakes")
    assert ring.view("BONDS") == escrow_address("escrow:bonds")
    assert {"Coordinator", "EqualShare", "RunToken"} <= {*names()}
