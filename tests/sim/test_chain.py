import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.vocabulary import UpdateRecord
from sim.chain.block import GENESIS, Block, BlockBody
from sim.chain.signing import Keyring
from sim.chain.state import branches, genesis
from sim.chain.transactions import UpdateTransaction, VoteTransaction
from sim.learning.engine import row_digest
from sim.protocols.vbfl.blocklist import shut_out
from sim.protocols.vbfl.settings import BlocklistSettings
from sim.streams import Streams

KEYS = Keyring(Streams(0), 6)
ROWS = np.random.default_rng(0).standard_normal((2, 50)).astype(np.float32)


def update(worker=0, row=0):
    return UpdateTransaction(1, worker, row_digest(ROWS[row]), 200, 40, 5).signed(KEYS)


def vote(u, validator=2, accept=True):
    return VoteTransaction(1, validator, u.worker, u.id, accept).signed(KEYS)


@pytest.fixture
def block():
    updates = (update(0, 0), update(1, 1))
    votes = tuple(vote(u, v, v == 2) for u in updates for v in (2, 3))
    return Block(1, 1, GENESIS, 4, 100, BlockBody(updates, votes), 12.5).signed(KEYS)


def digests():
    return {w: row_digest(ROWS[w]) for w in (0, 1)}


def test_an_honest_block_holds(block):
    assert block.authentic(KEYS, digests())
    assert [(r.worker, r.positive, r.negative) for r in block.body.records] == [
        (0, (2,), (3,)),
        (1, (2,), (3,)),
    ]
    assert len(block.hash) == 32


def test_digests_cover_every_byte():
    """The published code hashes printed text, where a middle weight can change unseen."""
    tampered = ROWS[0].copy()
    tampered[25] += 1e-6
    assert row_digest(tampered) != row_digest(ROWS[0])
    assert row_digest(ROWS[0]) == hashlib.sha256(ROWS[0].tobytes()).digest()


def test_a_tampered_update_is_detected(block):
    carried = digests() | {1: row_digest(ROWS[1] * 2)}
    assert not block.authentic(KEYS, carried)
    assert not block.authentic(KEYS, {0: digests()[0]})


@pytest.mark.parametrize(
    "change",
    [
        {"round": 2},
        {"height": 2},
        {"previous": b"\1" * 32},
        {"miner": 5},
        {"stake": 101},
        {"generated_s": 12.6},
    ],
)
def test_every_header_field_is_covered(block, change):
    changed = dataclasses.replace(block, **change)
    assert changed.hash != block.hash
    assert not changed.authentic(KEYS, digests())


def with_body(block, updates=None, votes=None, resign=True):
    body = BlockBody(
        updates or block.body.updates, votes if votes is not None else block.body.votes
    )
    changed = dataclasses.replace(block, body=body)
    return changed.signed(KEYS) if resign else changed


def test_a_dishonest_miner_cannot_rewrite_transactions(block):
    """Even with its own valid signature over the block."""
    u, votes = block.body.updates, block.body.votes
    flipped = dataclasses.replace(votes[0], accept=not votes[0].accept)
    overstated = dataclasses.replace(u[0], samples=4_000)
    stranger = dataclasses.replace(votes[0], validator=5)
    assert not with_body(block, votes=(flipped, *votes[1:])).authentic(KEYS, digests())
    assert not with_body(block, updates=(overstated, u[1])).authentic(KEYS, digests())
    assert not with_body(block, votes=(stranger, *votes[1:])).authentic(KEYS, digests())
    assert not with_body(block, votes=(*votes, votes[0])).authentic(KEYS, digests()), (
        "a replayed vote"
    )
    assert not with_body(block, updates=(*u, u[0])).authentic(KEYS, digests()), "a duplicate update"
    assert not with_body(block, updates=u[:1]).authentic(KEYS, digests()), (
        "votes on an update that is not there"
    )
    assert not with_body(block, votes=votes[1:], resign=False).authentic(KEYS, digests())
    assert with_body(block, votes=votes[1:]).authentic(KEYS, digests()), (
        "leaving one out is censorship, not forgery"
    )


def test_a_vote_is_bound_to_the_very_update():
    first = update(0, 0)
    second = UpdateTransaction(1, 0, row_digest(ROWS[1]), 200, 40, 5).signed(KEYS)
    body = BlockBody((second,), (vote(first),))
    assert not body.authentic(KEYS)


@given(st.integers(0, 5), st.integers(0, 63), st.integers(1, 255))
def test_any_flipped_bit_of_a_signature_is_noticed(device, at, mask):
    signature = bytearray(KEYS.sign(device, b"message"))
    assert KEYS.verify(device, b"message", bytes(signature))
    signature[at] ^= mask
    assert not KEYS.verify(device, b"message", bytes(signature))
    assert not KEYS.verify((device + 1) % 6, b"message", KEYS.sign(device, b"message"))


# --- states ---------------------------------------------------------------------------------------


def child(parent, number):
    return dataclasses.replace(
        parent, id=number, parent=parent, height=parent.height + 1, head=bytes([number]) * 32
    )


def test_branches_meet_at_the_last_common_ancestor():
    root = genesis(0, {})
    a = child(root, 1)
    b, c = child(a, 2), child(a, 3)
    d = child(c, 4)
    assert branches(b, d) == ([b], [c, d])
    assert branches(d, b) == ([d, c], [b])
    assert branches(a, d) == ([], [c, d])
    assert branches(d, a) == ([d, c], [])
    assert branches(d, d) == ([], [])


def rejected(worker):
    return UpdateRecord.from_votes(
        worker=worker, claimed_samples=10, claimed_epochs=1, positive=(), negative=(9,)
    )


def accepted(worker):
    return UpdateRecord.from_votes(
        worker=worker, claimed_samples=10, claimed_epochs=1, positive=(9,), negative=()
    )


def play(rules, history):
    """Return who is shut out after each round; `history` has the records and workers of each."""
    state, out = genesis(0, {}), []
    for when, (records, workers) in enumerate(history, start=1):
        r, a, b = shut_out(state, records, workers, when, rules)
        state = dataclasses.replace(state, rejected=r, absent=a, blocked=b)
        out.append(set(b))
    return out


def test_knock_out_in_calendar_rounds_needs_them_in_a_row():
    rules = BlocklistSettings(knock_out_rounds=3, in_a_row="rounds", lazy_rounds=0)
    bad, other = ([rejected(1)], [1]), ([accepted(2)], [2])
    assert play(rules, [bad, bad, bad])[-1] == {1}
    assert play(rules, [bad, bad, other, bad, bad])[-1] == set(), (
        "a round in another role breaks the row"
    )
    assert play(rules, [bad, bad, ([accepted(1)], [1]), bad, bad])[-1] == set()


def test_knock_out_in_rounds_as_worker_skips_the_others():
    rules = BlocklistSettings(knock_out_rounds=3, in_a_row="rounds-as-worker", lazy_rounds=0)
    bad, other = ([rejected(1)], [1]), ([accepted(2)], [2])
    assert play(rules, [bad, bad, other, other, bad])[-1] == {1}
    assert play(rules, [bad, bad, ([accepted(1)], [1]), bad, bad])[-1] == set()


def test_lazy_workers_are_shut_out_and_nobody_is_when_switched_off():
    lazy = ([accepted(2)], [1, 2])
    assert play(BlocklistSettings(knock_out_rounds=0, lazy_rounds=2), [lazy, lazy])[-1] == {1}
    off = BlocklistSettings(knock_out_rounds=0, lazy_rounds=0)
    assert play(off, [lazy] * 30 + [([rejected(2)], [2])] * 30)[-1] == set()
