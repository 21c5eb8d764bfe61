"""What calls weigh and cost: asked of the chain's own runtime, with transactions that nobody signed."""

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
    """Ask the chain what each kind of call weighs and costs, in a batch of `PROBE` and in an empty one."""
    samples: dict[str, Action] = {}
    for a in script.actions:
        if a.kind not in samples or len(a.data) + 32 * len(a.members) > len(
            samples[a.kind].data
        ) + 32 * len(samples[a.kind].members):
            samples[a.kind] = a
    head = script.runtime.call("System.remark_with_event", bytes(SIZE))
    batch = partial(script.runtime.call, "Utility.batch_all")
    script.base = query(chain, script.runtime, batch([head]), signer)
    for kind, action in sorted(samples.items(), key=lambda item: item[0] != "note"):
        call = script.call(action, (2**31, 2) if kind == "approve" else None)
        told = query(chain, script.runtime, batch([head, *[call] * PROBE]), signer)
        weight = Weight(
            *(-(-(t - b) // PROBE) for t, b in zip(told.weight, script.base.weight, strict=True))
        )
        script.prices[kind] = Price(weight, len(call), -(-(told.fee - script.base.fee) // PROBE))


def query(chain: Chain, runtime: Runtime, call: bytes, signer: Signer) -> Price:
    """Weight, length and fee of a call signed by itself, as the runtime tells them; nothing is sent."""
    # Only its length counts: what bears no signature can be sent by nobody.
    extrinsic = assemble(runtime, chain.genesis, call, signer.public, lambda _: bytes(65), 0)
    body = "0x" + (extrinsic + len(extrinsic).to_bytes(4, "little")).hex()
    # Where the chain keeps its first block, prices are asked there: those of another day would tell devices other shares.
    at = [chain.block_hash(1)] if chain.sealing == "on demand" else []
    raw = chain.rpc("state_call", "TransactionPaymentApi_query_info", body, *at)
    two = isinstance(runtime.constant("System", "BlockWeights")["max_block"], dict)
    weight, fee = dispatch_info(bytes.fromhex(raw[2:]), two)
    return Price(weight, len(extrinsic), fee)


def dispatch_info(data: bytes, two_dimensional: bool) -> tuple[Weight, int]:
    """Weight and fee of a `RuntimeDispatchInfo`: the weight in either generation's form, a byte for the class, a u128."""
    if two_dimensional:
        time, at = read_compact(data, 0)
        proof, at = read_compact(data, at)
        weight = Weight(time, proof)
    else:
        weight, at = Weight(int.from_bytes(data[:8], "little")), 8
    return weight, int.from_bytes(data[at + 1 : at + 17], "little")
