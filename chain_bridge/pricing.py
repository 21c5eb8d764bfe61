"""Weights and fees of calls, asked of the chain's own runtime with unsigned transactions."""

from __future__ import annotations

from functools import partial

from chain_bridge.client import Chain
from chain_bridge.extrinsic import assemble
from chain_bridge.header import SIZE
from chain_bridge.keys import Signer
from chain_bridge.plan import Action
from chain_bridge.runtime import Runtime, Weight
from chain_bridge.scale import read_compact
from chain_bridge.script import Price, Script

PROBE = 64  # calls of a probing batch


def probe(chain: Chain, script: Script, signer: Signer) -> None:
    """Set the prices of a script: what each sort of call adds to a batch.

    A call's price is that of a batch of `PROBE` such calls less that of an empty one, by `PROBE`.
    """
    # The longest action of each sort stands for all of them.
    samples: dict[str, Action] = {}
    for a in script.actions:
        sort = script.sort(a)
        if sort not in samples or _size(a) > _size(samples[sort]):
            samples[sort] = a

    # Notes first: their weight is a bound in the calls of approvals.
    head = script.runtime.call("System.remark_with_event", bytes(SIZE))
    batch = partial(script.runtime.call, "Utility.batch_all")
    script.base = query(chain, script.runtime, batch([head]), signer)
    for sort, action in sorted(samples.items(), key=lambda item: item[0] != "note"):
        call = script.call(action, (2**31, 2) if sort == "approve" else None)
        full, base = (
            query(chain, script.runtime, batch([head, *[call] * PROBE]), signer),
            script.base,
        )
        weight = Weight(
            _each(full.weight.ref_time - base.weight.ref_time),
            _each(full.weight.proof_size - base.weight.proof_size),
        )
        script.prices[sort] = Price(weight, len(call), _each(full.fee - base.fee))


def _size(action: Action) -> int:
    """Return the bytes of an action that differ between actions of a kind."""
    return len(action.data) + 32 * len(action.members)


def _each(total: int) -> int:
    """Return one call's share of a probing batch, rounded up."""
    return -(-total // PROBE)


def query(chain: Chain, runtime: Runtime, call: bytes, signer: Signer) -> Price:
    """Return weight, length and fee of a transaction of one call; nothing is sent."""
    # The signature is 65 zero bytes: only its length counts, and the chain accepts no such one.
    extrinsic = assemble(runtime, chain.genesis, call, signer.public, lambda _: bytes(65), 0)
    body = extrinsic + len(extrinsic).to_bytes(4, "little")
    # Where the chain keeps its first block, prices are asked there: later prices would change the
    # shares of devices between two replays.
    first = chain.block_hash(1) if chain.sealing == "on demand" else None
    info = chain.compute("TransactionPaymentApi_query_info", body, first)
    two = isinstance(runtime.constant("System", "BlockWeights")["max_block"], dict)
    with chain.reading("a price"):
        weight, fee = dispatch_info(info, two)
    return Price(weight, len(extrinsic), fee)


def dispatch_info(data: bytes, two_dimensional: bool) -> tuple[Weight, int]:
    """Return weight and fee of a `RuntimeDispatchInfo`.

    It holds the weight, in the form of either generation, a byte for the class, and a u128.
    """
    if two_dimensional:
        time, at = read_compact(data, 0)
        proof, at = read_compact(data, at)
        weight = Weight(time, proof)
    else:
        weight, at = Weight(int.from_bytes(data[:8], "little")), 8
    return weight, int.from_bytes(data[at + 1 : at + 17], "little")
