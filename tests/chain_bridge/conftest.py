"""Real dev chains for tests, beside the shared `devchain`. Nothing here stands in for a chain."""

import os
import struct
import zlib
from collections import Counter

import pytest

from chain_bridge.binding import make_script
from chain_bridge.client import Chain
from chain_bridge.devchain import server
from chain_bridge.devchain.genesis import key
from chain_bridge.keys import OPERATOR, signer
from chain_bridge.plan import make_plan
from chain_bridge.recording import read
from experiments import run


@pytest.fixture
def fresh(programs):
    """Start chains; those still running are ended with the test."""
    started = []

    def start(**options):
        started.append(server.start(**options))
        return started[-1]

    yield start
    for chain in started:
        chain.stop()


@pytest.fixture(scope="session")
def otherwise(programs, operator):
    """A chain with another genesis: asset 3 keeps 50 units in an account, 4 is somebody else's."""
    counts = bytes(12) + b"\0"
    keeps = operator.public * 4 + _u128(0) + _u128(0) + _u128(50) + b"\1" + counts
    foreign = b"\7" * 128 + _u128(0) + _u128(0) + _u128(1) + b"\1" + counts
    state = {
        key("Assets", "Asset", struct.pack("<I", number)): "0x" + details.hex()
        for number, details in ((3, keeps), (4, foreign))
    }
    with server.start(state=state) as chain:
        yield chain


def _u128(number):
    return number.to_bytes(16, "little")


@pytest.fixture(scope="session")
def connection(devchain):
    """One connection to it, because a runtime takes seconds to decode."""
    with Chain(devchain.url) as client:
        client.runtime  # noqa: B018 - asked once, for all tests
        yield client


@pytest.fixture
def chain(connection):
    """The connection, with the runtime that it has whatever a test has put in its place."""
    runtime = connection.runtime
    yield connection
    vars(connection)["runtime"] = runtime


@pytest.fixture
def undone(chain):
    """The connection; whatever a test did to the chain since is taken back afterwards.

    Storage that a test sets is that of the head: it is set in a block of the test's own.
    """
    head, sealing = chain.head(), chain.sealing
    yield chain
    vars(chain)["sealing"] = sealing
    chain.rpc("dev_setBlockBuildMode", "Manual")
    chain.rpc("dev_setHead", head.hash)


LONGEST = 100
"""Blocks that a test which begins at the first block again may make."""


@pytest.fixture
def rewound(undone):
    """The connection to a chain as it was at its start; its blocks are put back afterwards."""
    most = min(undone.head().number, LONGEST)
    blocks = [undone.block_hash(number) for number in range(1, most + 1)]
    undone.rpc("dev_setHead", blocks[0])
    yield undone
    made = undone.head().number
    assert made <= LONGEST
    for block in blocks[:made]:
        undone.rpc("dev_setHead", block)


@pytest.fixture(scope="session")
def operator():
    return signer(OPERATOR)


@pytest.fixture(scope="session")
def recorded(tiny, tmp_path_factory):
    """Record a tiny scenario and return its folder.

    The seed follows from the test and from how many runs it has recorded, so no two tests share
    accounts, and it is the same every time.
    """
    before = Counter()

    def record(preset="vbfl", **changes):
        test = os.environ["PYTEST_CURRENT_TEST"].split(" ")[0]
        before[test] += 1
        seed = zlib.crc32(f"{test} {before[test]}".encode())
        folder = tmp_path_factory.mktemp("run") / "run"
        return run(tiny(preset, **{"seed": seed} | changes), folder).path

    return record


COORDINATOR = {
    "protocol": "coordinator",
    "payout": {"mechanism": "coordinator", "initial_balance": 5_000_000},
    "coordinator": {"verifier": "committee", "params": {"size": 3, "error": 0.05}},
    "adversaries": [
        {"name": "riders", "count": 1, "worker": "free-ride-copy"},
        {"name": "silent", "count": 1, "worker": "no-reveal"},
    ],
}
"""Stakes, bonds, commitments, a missing reveal, slashes, burning, a committee's approvals."""

EQUAL_SHARE = {
    "payout": {
        "mechanism": "equal-share",
        "params": {"pool": 9_001, "deadline": 3, "stake": 10},
        "initial_balance": 50,
    }
}

DEPOSITS = {"preset": "sum-digits", "devices": 3, "data__initial": 135}
"""Deposits, refunds, reports and sweeps of a data market, and the data themselves as notes."""

BETS = DEPOSITS | {
    "market__rule": "prediction-market",
    "market__params": {"bounty": 50},
    "market__provider": 0,
}
"""A bounty from its provider, stakes, rewards, and balances that are collected."""


@pytest.fixture(scope="session")
def scripted(operator):
    """Bind a recorded run to a chain."""

    def build(client, folder, **options):
        return make_script(client, make_plan(read(folder)), operator, **options)

    return build


COLLECTIVE = {
    "preset": "decentralml",
    "devices": 10,
    "parties": {"contributors": 4, "engineers": 2, "annotators": 2, "clients": 1},
    "pools": {"stake": 200_000},
    "payout": {"initial_balance": 2_000},
    "approval": {"members": 4, "params": {"needed": 2}},
    "labelling": {"tasks": 1, "questions": 4, "places": 2},
    "licences": {"params": {"probability": 1.0}, "fee": 100, "jurisdictions": []},
    "referenda": {
        "delay_s": 0.0,
        "proposals": [{"round": 1, "changes": {"licences.fee": 900}, "worth": 1.0}],
    },
    "adversaries": [
        {"name": "colluders", "devices": [0, 1, 5], "member": "collude", "engineer": "spam"},
        {"name": "underpayer", "devices": [8], "client": "underpay"},
    ],
}
