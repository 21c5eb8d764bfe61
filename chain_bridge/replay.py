"""Sending a script's batches, each exactly once, whatever dies in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chain_bridge.client import Chain
from chain_bridge.errors import ChainSilentError, PlanError, ReplayError, RpcError
from chain_bridge.extrinsic import IMMORTAL, Era, sign
from chain_bridge.header import DRY_RUN
from chain_bridge.keys import Signer
from chain_bridge.landed import Landed, failure, nonce, scan, succeeded, timepoint
from chain_bridge.plan import Action
from chain_bridge.script import Batch, Script

OnBatch = Callable[[Landed], None]

ERA = 64  # blocks that a transaction is good for where the node makes blocks by itself
TRIES = 5  # without progress
BLOCK_S = 120.0  # for a block that the node is to make
LOST = ("stale", "future", "outdated")  # its nonce is used, or not due yet
HELD = (
    1012,
    1013,
    1014,
)  # the pool has one like it, or has had: banned for a while, already imported, priority too low
HELD_WORDS = ("already imported", "temporarily banned", "priority is too low")


@dataclass(frozen=True)
class Replayed:
    """What a replay found and did. `found`: batches that were there before; `repaired`: rollbacks that took batches away."""

    landed: list[Landed]
    found: int
    sent: int
    repaired: int
    wall_s: float


class _Replayer:
    """The operator's nonce is the one of the head that was scanned, plus one for each batch since: a batch that has landed behind
    our back, or was taken away, makes the next transaction's nonce wrong, so that it cannot be included, and the chain is read
    anew.
    """

    def __init__(self, chain: Chain, script: Script, signer: Signer) -> None:
        self.chain, self.script, self.signer = chain, script, signer
        self.sent = self.repaired = self.stuck = 0
        self.state = scan(chain, script, signer.public)
        self.nonce = self.state.nonce

    @property
    def landed(self) -> list[Landed]:
        return self.state.landed

    def stands(self) -> bool:
        """Whether the last batch is still on the best chain."""
        return (
            not self.landed
            or self.chain.block_hash(self.landed[-1].number) == self.landed[-1].block
        )

    def rescan(self) -> None:
        """Read anew what landed; `ReplayError` when that happens again and again without progress."""
        before, used = len(self.landed), self.nonce
        self.state = scan(self.chain, self.script, self.signer.public)
        self.nonce = self.state.nonce
        self.repaired += len(self.landed) < before
        # A nonce that moved is another replay with the same key: it comes to an end, and then it is our turn.
        self.stuck = 0 if len(self.landed) > before or self.nonce > used else self.stuck + 1
        if self.stuck >= TRIES:
            raise ReplayError(
                f"{self.chain.url} took batch {len(self.landed)} {TRIES} times and put it into no block"
            )

    def step(self) -> Landed | None:
        """Send the next batch; None when what the chain holds was not what we thought."""
        landed = None if not self.stands() else self._send(self.script.batches[len(self.landed)])
        if landed is None:
            self.rescan()
            return None
        self.landed.append(landed)
        self.nonce += 1
        self.sent += 1
        self.stuck = 0
        return landed

    def _send(self, batch: Batch) -> Landed | None:
        """Submit one batch and find it in a block; None when it got lost, `ReplayError` when the chain refused its content."""
        chain, script, signer = self.chain, self.script, self.signer
        call = script.batch_call(batch, timepoint(script, batch, self.landed))
        head = chain.head()
        era = IMMORTAL
        if (
            chain.sealing == "by itself"
        ):  # born where nothing can be undone, or a reorganisation would spoil the signature
            born = chain.finalized()
            era = Era(ERA, born.number, born.hash)
        extrinsic = sign(script.runtime, chain.genesis, call, signer, self.nonce, era)
        try:
            chain.rpc("author_submitExtrinsic", "0x" + extrinsic.hex())
        except RpcError as error:
            told = error.message.lower()
            if any(word in told for word in LOST):
                return None
            if error.code not in HELD and not any(word in told for word in HELD_WORDS):
                raise ReplayError(_refused(script, batch, error.message)) from error
        if chain.sealing == "on demand":
            chain.rpc("dev_newBlock", {"count": 1})
            return _look(chain, script, signer, batch, extrinsic, head.number + 1)
        return self._await(batch, extrinsic, head.number + 1, era)

    def _await(self, batch: Batch, extrinsic: bytes, number: int, era: Era) -> Landed | None:
        """Look into every new block until the transaction is there, no longer good, or its nonce is used by another."""
        chain = self.chain
        while number <= era.number + ERA:
            head = chain.wait_for(number, BLOCK_S)
            landed = _look(chain, self.script, self.signer, batch, extrinsic, number)
            if (
                landed is not None
                or nonce(chain, self.signer.public, chain.block_hash(number) or head.hash)
                > self.nonce
            ):
                return landed
            number += 1
        return None


def replay(
    chain: Chain, script: Script, signer: Signer, *, on_batch: OnBatch | None = None
) -> Replayed:
    """Send what is not there yet, in order, and wait until it is final.

    Raises `ReplayError` when the chain refuses a batch (nothing of it is applied, the ones before stand), `ChainSilentError` when
    the chain stops answering: calling again goes on.
    """
    start = time.monotonic()
    _quiet(chain)
    doing = _Replayer(chain, script, signer)
    found = len(doing.landed)
    check_means(chain, script, signer, doing.landed)
    for there in doing.landed:
        if on_batch:
            on_batch(there)
    while True:
        if len(doing.landed) < len(script.batches):
            landed = doing.step()
            if landed and on_batch:
                on_batch(landed)
            continue
        _finalise(chain, doing.landed)
        if doing.stands():
            return Replayed(
                doing.landed, found, doing.sent, doing.repaired, time.monotonic() - start
            )
        doing.rescan()


def _quiet(chain: Chain) -> None:
    """Where blocks are made on demand, let nothing of an earlier client lie in the pool, and no block make itself."""
    if chain.sealing == "on demand":
        chain.rpc("dev_setBlockBuildMode", "Manual")
        if chain.rpc("author_pendingExtrinsics"):
            chain.rpc("dev_newBlock", {"count": 1})


def check_means(chain: Chain, script: Script, signer: Signer, landed: list[Landed]) -> None:
    """The operator must be able to pay for what is left; and where nothing has landed, the run's accounts must be empty."""
    left = (
        script.actions[script.batches[len(landed)].start :]
        if len(landed) < len(script.batches)
        else []
    )
    if not left:
        return
    head = chain.head().hash
    if not landed:
        held = script.money.balances(chain, script.plan.accounts, head)
        full = [name for name, amount in zip(script.plan.accounts, held, strict=True) if amount > 0]
        if full:
            raise PlanError(
                f"{chain.url}: {full[0]} of this run holds {script.money.unit} before anything was sent; use a fresh chain"
            )
    free = chain.read("System", "Account", signer.public, at=head)["data"]["free"]
    needed = script.needs(left, len(script.batches) - len(landed))
    if free < needed:
        raise ReplayError(
            f"the operator (0x{signer.public.hex()}) holds {free:,} native units, the replay needs about {needed:,}"
        )


def _look(
    chain: Chain, script: Script, signer: Signer, batch: Batch, extrinsic: bytes, number: int
) -> Landed | None:
    """The batch, if it is in the block of a number."""
    block = chain.block_hash(number)
    if block is None or chain.head().number < number:
        return None
    bodies = chain.extrinsics(block)
    if extrinsic not in bodies:
        return None
    place = bodies.index(extrinsic)
    events = chain.events(block)
    if succeeded(events, place):
        return Landed(batch.index, number, block, place)
    failed = failure(events, place)
    words = script.runtime.error(failed.fields[0]) if failed else "no event tells why"
    raise ReplayError(_refused(script, batch, words, _blame(chain, script, signer, batch)))


# --- refusals -----------------------------------------------------------------------------------------------------------


def _refused(script: Script, batch: Batch, words: str, blamed: int | None = None) -> str:
    stand = (
        "nothing before it was sent" if not batch.index else f"batches 0 to {batch.index - 1} stand"
    )
    where = ""
    if blamed is not None:
        place = f"call {blamed + 1} of {batch.stop - batch.start}"
        where = f" at {place}, {_words(script, script.actions[batch.start + blamed])}"
    return f"the chain refused batch {batch.index} (round {batch.round}): {words}{where}; nothing of it was applied, {stand}"


def _words(script: Script, a: Action) -> str:
    if a.kind in ("mint", "burn", "transfer"):
        told = f"{a.amount:,} {script.plan.asset} from {a.debit} to {a.credit}"
        return f"{a.reason} of {told} (journal entry {a.number})"
    return f"{a.kind} {a.reason}" + (f" of device {a.device}" if a.device >= 0 else "")


def _blame(chain: Chain, script: Script, signer: Signer, batch: Batch) -> int | None:
    """Which call fails: the shortest part of the batch that a dry run refuses. None where the chain has no dry runs.

    What is signed for a dry run bears a header that no replay accepts, should the node include it.
    """
    if "system_dryRun" not in script.runtime.methods:
        return None
    actions = script.actions[batch.start : batch.stop]
    when = timepoint(script, batch, scan(chain, script, signer.public).landed)
    header = script.header(batch.index)
    assert header is not None
    head = script.runtime.call(
        "System.remark_with_event", header._replace(batch=DRY_RUN).encode(script.identity)
    )
    calls = [script.call(a, when) for a in actions]
    number = nonce(chain, signer.public)

    def fails(size: int) -> bool:
        call = script.runtime.call("Utility.batch_all", [head, *calls[:size]])
        extrinsic = sign(script.runtime, chain.genesis, call, signer, number)
        return not chain.rpc("system_dryRun", "0x" + extrinsic.hex()).startswith("0x0000")

    try:
        low, high = 0, len(calls)  # `low` calls pass, `high` calls fail
        if not fails(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if fails(middle) else (middle, high)
    except RpcError:
        return None
    return high - 1


def _finalise(chain: Chain, landed: list[Landed]) -> None:
    """Wait until the last batch cannot be undone, where the node tells of finality."""
    if not landed or "chain_getFinalizedHead" not in chain.runtime.methods:
        return
    until = time.monotonic() + BLOCK_S
    while chain.finalized().number < landed[-1].number:
        if time.monotonic() > until:
            raise ChainSilentError(
                f"{chain.url} finalised nothing up to block {landed[-1].number} within {BLOCK_S:g} s"
            )
        time.sleep(0.5)
