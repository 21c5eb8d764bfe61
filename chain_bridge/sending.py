"""Signed batches on their way into a block, in both ways of making blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from chain_bridge.client import Chain
from chain_bridge.errors import ReplayError, RpcError
from chain_bridge.extrinsic import IMMORTAL, Era, sign
from chain_bridge.keys import Signer
from chain_bridge.landed import Landed, failure, nonces, succeeded, timepoint
from chain_bridge.refusals import failing_call, refused
from chain_bridge.script import Batch, Script

ERA = 64  # blocks that a transaction is valid for where the node makes blocks by itself
BLOCK_S = 120.0  # deadline for a block that the node is to make

# What a node answers when a transaction's nonce is used already or not due yet.
NONCE_WORDS = ("stale", "future", "outdated")
# What it answers when its pool holds such a transaction or held it a moment ago: temporarily
# banned, already imported, priority too low.
POOL_CODES = (1012, 1013, 1014)
POOL_WORDS = ("already imported", "temporarily banned", "priority is too low")


@dataclass
class Sent:
    """What became of batches that were sent.

    `landed`: in the order of the script; `failures`: in a block and failed, with the event's
    reason. Batches that are in neither are in no block.
    """

    landed: list[Landed] = field(default_factory=list)
    failures: list[tuple[Batch, str]] = field(default_factory=list)


@dataclass
class Sender:
    """Signs batches and finds them in blocks. `operator`: the operator's key."""

    chain: Chain
    script: Script
    operator: Signer

    def send(
        self, batches: Sequence[Batch], numbers: Mapping[int, int], landed: Sequence[Landed]
    ) -> Sent:
        """Submit batches of one block in order and look for them; `numbers`: nonce by signer.

        Where the node makes blocks by itself, only the first of them that may come in any order are
        sent, of each signer one. So a signer has never two transactions on their way that could
        land without each other.
        """
        if self.chain.sealing == "by itself":
            return self._await(_first_wave(batches), numbers, landed)
        signed = list(self._signed(batches, numbers, landed, IMMORTAL))
        head = self.chain.head()
        if len(signed) == 1:
            batch, extrinsic = signed[0]
            if not self._submit(batch, extrinsic):
                return Sent()
            self.chain.rpc("dev_newBlock", {"count": 1})
        else:
            # In this order, past the pool: whatever does not fit or is not valid is left out.
            bodies = ["0x" + extrinsic.hex() for _, extrinsic in signed]
            self.chain.rpc("dev_newBlock", {"count": 1, "transactions": bodies})
        sent = Sent()
        self._find(signed, head.number + 1, sent)
        return sent

    def explain(self, batch: Batch, reason: str, landed: Sequence[Landed]) -> ReplayError:
        """Return the error for a batch that failed in a block."""
        key = self.script.key(batch.signer, self.operator)
        call = failing_call(self.chain, self.script, key, batch, landed)
        return ReplayError(refused(self.script, batch, reason, call))

    def _signed(
        self,
        batches: Sequence[Batch],
        numbers: Mapping[int, int],
        landed: Sequence[Landed],
        era: Era,
    ) -> Iterator[tuple[Batch, bytes]]:
        """Yield each batch with its signed transaction."""
        script, used = self.script, dict(numbers)
        for batch in batches:
            call = script.batch_call(batch, timepoint(script, batch, landed))
            key = script.key(batch.signer, self.operator)
            number = used[batch.signer]
            used[batch.signer] += 1
            yield batch, sign(script.runtime, self.chain.genesis, call, key, number, era)

    def _submit(self, batch: Batch, extrinsic: bytes) -> bool:
        """Submit a transaction; False when its nonce was used by another.

        A transaction that the pool holds already is waited for like a new one. Raises `ReplayError`
        when the chain refused its content.
        """
        try:
            self.chain.rpc("author_submitExtrinsic", "0x" + extrinsic.hex())
        except RpcError as error:
            message = error.message.lower()
            if any(word in message for word in NONCE_WORDS):
                return False
            if error.code not in POOL_CODES and not any(w in message for w in POOL_WORDS):
                raise ReplayError(refused(self.script, batch, error.message)) from error
        return True

    def _await(
        self, batches: Sequence[Batch], numbers: Mapping[int, int], landed: Sequence[Landed]
    ) -> Sent:
        """Submit batches, look into every new block until all are there or cannot come any more."""
        # Signatures are valid for some blocks from a final one: from any other, a reorganisation
        # would spoil them.
        final = self.chain.finalized()
        era = Era(ERA, final.number, final.hash)
        signed = list(self._signed(batches, numbers, landed, era))
        number, sent = self.chain.head().number + 1, Sent()
        left = [(batch, x) for batch, x in signed if self._submit(batch, x)]
        while left and number <= era.number + ERA:
            head = self.chain.wait_for(number, BLOCK_S)
            left = self._find(left, number, sent)
            at = self.chain.block_hash(number) or head.hash
            keys = {b.signer: self.script.money.public(b.signer) for b, _ in left}
            used = nonces(self.chain, keys, at)
            left = [(b, x) for b, x in left if used[b.signer] <= numbers[b.signer]]
            number += 1
        sent.landed.sort()
        return sent

    def _find(
        self, signed: Sequence[tuple[Batch, bytes]], number: int, sent: Sent
    ) -> list[tuple[Batch, bytes]]:
        """Add what is in the block of this number to `sent`; return what is not there."""
        chain = self.chain
        block = chain.block_hash(number)
        if block is None or chain.head().number < number:
            return list(signed)
        places = {body: place for place, body in enumerate(chain.extrinsics(block))}
        left = []
        for batch, extrinsic in signed:
            place = places.get(extrinsic)
            if place is None:
                left.append((batch, extrinsic))
                continue
            events = chain.events(block)
            if succeeded(events, place):
                sent.landed.append(Landed(batch.index, number, block, place, batch.signer))
                continue
            failed = failure(events, place)
            reason = self.script.runtime.error(failed.fields[0]) if failed else ""
            sent.failures.append((batch, reason or "no event tells why"))
        return left


def _first_wave(batches: Sequence[Batch]) -> list[Batch]:
    """Return the first batches that may come in any order, of each signer one."""
    _, phase = next(groupby(batches, key=lambda b: b.phase))
    wave: dict[int, Batch] = {}
    for batch in phase:
        wave.setdefault(batch.signer, batch)
    return list(wave.values())
