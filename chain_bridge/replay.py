"""Sending a script's batches, each exactly once, whatever dies in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chain_bridge.client import Chain
from chain_bridge.errors import ChainSilentError, ReplayError, RpcError
from chain_bridge.extrinsic import IMMORTAL, Era, sign
from chain_bridge.keys import Signer
from chain_bridge.landed import Landed, failure, nonce, scan, succeeded
from chain_bridge.plan import Action
from chain_bridge.script import Batch, Script

OnBatch = Callable[[Landed], None]

ERA = 64  # blocks that a transaction is good for where the node makes blocks by itself
TRIES = 5  # without progress
BLOCK_S = 120.0  # for a block that the node is to make
LOST = ("stale", "future", "outdated", "already imported", "temporarily banned", "1012", "1013")


@dataclass(frozen=True)
class Replayed:
    """What a replay found and did. `found`: batches that were there before; `repaired`: rollbacks that took batches away."""

    landed: list[Landed]
    found: int
    sent: int
    repaired: int
    wall_s: float


@dataclass
class _Progress:
    landed: list[Landed]
    sent: int = 0
    repaired: int = 0
    stuck: int = 0


def replay(chain: Chain, script: Script, signer: Signer, *, on_batch: OnBatch | None = None) -> Replayed:
    """Send what is not there yet, in order, and wait until it is final.

    Raises `ReplayError` when the chain refuses a batch (nothing of it is applied, the ones before stand), `ChainSilentError` when
    the chain stops answering: calling again goes on.
    """
    start = time.monotonic()
    _quiet(chain)
    state = _Progress(scan(chain, script, signer.public))
    found = len(state.landed)
    for there in state.landed:
        if on_batch:
            on_batch(there)
    _check_means(chain, script, signer, len(state.landed))
    while len(state.landed) < len(script.batches) or not _stands(chain, state):
        if not _stands(chain, state):
            state.landed = scan(chain, script, signer.public)
            state.repaired += 1
            continue
        before = len(state.landed)
        landed = _send(chain, script, signer, script.batches[before])
        if landed is None:  # lost on the way: what the chain holds decides
            state.landed = scan(chain, script, signer.public)
            state.stuck = 0 if len(state.landed) > before else state.stuck + 1
            if state.stuck >= TRIES:
                raise ReplayError(f"{chain.url} took batch {before} {TRIES} times and put it into no block")
            continue
        state.landed.append(landed)
        state.sent += 1
        state.stuck = 0
        if on_batch:
            on_batch(landed)
    _finalise(chain, state.landed)
    return Replayed(state.landed, found, state.sent, state.repaired, time.monotonic() - start)


def _quiet(chain: Chain) -> None:
    """Where blocks are made on demand, let nothing of an earlier client lie in the pool, and no block make itself."""
    if chain.sealing == "on demand":
        chain.rpc("dev_setBlockBuildMode", "Manual")
        if chain.rpc("author_pendingExtrinsics"):
            chain.rpc("dev_newBlock", {"count": 1})


def _stands(chain: Chain, state: _Progress) -> bool:
    """Whether the last batch is still on the best chain."""
    return not state.landed or chain.block_hash(state.landed[-1].number) == state.landed[-1].block


def _check_means(chain: Chain, script: Script, signer: Signer, landed: int) -> None:
    """The operator must be able to pay for what is left."""
    if landed:
        return
    held = chain.read("System", "Account", signer.public)["data"]["free"]
    needed = script.estimate() + script.endowment() + script.money.existential
    if held < needed:
        raise ReplayError(
            f"the operator (0x{signer.public.hex()}) holds {held:,} native units, the replay needs about {needed:,}"
        )


def _send(chain: Chain, script: Script, signer: Signer, batch: Batch) -> Landed | None:
    """Submit one batch and find it in a block; None when it got lost, `ReplayError` when the chain refused its content."""
    call = script.batch_call(batch, _timepoint(chain, script, batch))
    head = chain.head()
    era = IMMORTAL if chain.sealing == "on demand" else Era(ERA, head.number, head.hash)
    extrinsic = sign(script.runtime, chain.genesis, call, signer, nonce(chain, signer.public, head.hash), era)
    try:
        chain.rpc("author_submitExtrinsic", "0x" + extrinsic.hex())
    except RpcError as error:
        told = f"{error.code} {error.message}".lower()
        if any(word in told for word in LOST):
            return None
        raise ReplayError(_refused(script, batch, error.message)) from error
    if chain.sealing == "on demand":
        chain.rpc("dev_newBlock", {"count": 1})
        return _look(chain, script, signer, batch, extrinsic, head.number + 1)
    return _await(chain, script, signer, batch, extrinsic, head.number + 1)


def _await(chain: Chain, script: Script, signer: Signer, batch: Batch, extrinsic: bytes, number: int) -> Landed | None:
    """Look into every new block until the transaction is there or no longer good."""
    last = number + ERA
    while number <= last:
        chain.wait_for(number, BLOCK_S)
        landed = _look(chain, script, signer, batch, extrinsic, number)
        if landed is not None:
            return landed
        number += 1
    return None


def _look(chain: Chain, script: Script, signer: Signer, batch: Batch, extrinsic: bytes, number: int) -> Landed | None:
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


def _timepoint(chain: Chain, script: Script, batch: Batch) -> tuple[int, int] | None:
    """Where the approval that a batch goes on with was proposed: the chain keeps it while it is open."""
    waiting = [a for a in script.actions[batch.start : batch.stop] if a.kind == "approve"]
    if not waiting:
        return None
    told = chain.read("Multisig", "Multisigs", *script.approval_key(waiting[0]))
    if told is None:
        raise ReplayError(
            f"{chain.url}: the approval of round {batch.round} is not open, though batch {batch.index - 1} proposed it"
        )
    return int(told["when"]["height"]), int(told["when"]["index"])


# --- refusals -----------------------------------------------------------------------------------------------------------


def _refused(script: Script, batch: Batch, words: str, blamed: int | None = None) -> str:
    stand = "nothing before it was sent" if not batch.index else f"batches 0 to {batch.index - 1} stand"
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
    """Which call fails: the shortest part of the batch that a dry run refuses. None where the chain has no dry runs."""
    if "system_dryRun" not in script.runtime.methods:
        return None
    actions = script.actions[batch.start : batch.stop]
    times = _timepoint(chain, script, batch)
    calls = [script.call(a, times) for a in actions]
    number = nonce(chain, signer.public)

    def fails(size: int) -> bool:
        call = script.runtime.call("Utility.batch_all", calls[:size])
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
            raise ChainSilentError(f"{chain.url} finalised nothing up to block {landed[-1].number} within {BLOCK_S:g} s")
        time.sleep(0.5)
