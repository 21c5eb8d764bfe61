"""Why the chain refused a batch, in one line."""

from __future__ import annotations

from collections.abc import Sequence

from chain_bridge.client import Chain
from chain_bridge.errors import RpcError
from chain_bridge.extrinsic import sign
from chain_bridge.header import DRY_RUN
from chain_bridge.keys import Signer
from chain_bridge.landed import Landed, nonce, timepoint
from chain_bridge.money import OPERATOR
from chain_bridge.plan import MONEY, Action
from chain_bridge.script import Batch, Script, signer_name


def refused(script: Script, batch: Batch, reason: str, failing: int | None = None) -> str:
    """Return the message for a batch that the chain refused; `failing`: the call that failed."""
    stand = f"batches 0 to {batch.index - 1} stand" if batch.index else "nothing before it was sent"
    where = ""
    if failing is not None:
        place = f"call {failing + 1} of {batch.stop - batch.start}"
        where = f" at {place}, {_description(script, script.actions[batch.start + failing])}"
    by = "" if batch.signer == OPERATOR else f" of {signer_name(batch.signer)}"
    return (
        f"the chain refused batch {batch.index}{by} (round {batch.round}): {reason}{where}; "
        f"nothing of it was applied, {stand}"
    )


def _description(script: Script, action: Action) -> str:
    """Return an action in words."""
    a = action
    if a.kind in MONEY:
        move = f"{a.amount:,} {script.plan.asset} from {a.debit} to {a.credit}"
        return f"{a.reason} of {move} (journal entry {a.number})"
    return f"{a.kind} {a.reason}" + (f" of device {a.device}" if a.device >= 0 else "")


def failing_call(
    chain: Chain, script: Script, key: Signer, batch: Batch, landed: Sequence[Landed]
) -> int | None:
    """Return the index of the call that fails; None where the chain has no dry runs.

    It ends the shortest part of the batch that a dry run refuses. What is signed for a dry run
    bears a header that no replay accepts, should the node include it.
    """
    if "system_dryRun" not in script.runtime.methods:
        return None
    actions = script.actions[batch.start : batch.stop]
    when = timepoint(script, batch, landed)
    header = script.header(batch.index)
    assert header is not None
    remark = header._replace(batch=DRY_RUN).encode(script.identity)
    head = script.runtime.call("System.remark_with_event", remark)
    calls = [script.call(a, when) for a in actions]
    number = nonce(chain, key.public)

    def fails(size: int) -> bool:
        call = script.runtime.call("Utility.batch_all", [head, *calls[:size]])
        extrinsic = sign(script.runtime, chain.genesis, call, key, number)
        return not chain.rpc("system_dryRun", "0x" + extrinsic.hex()).startswith("0x0000")

    # Bisection: `low` calls pass, `high` calls fail.
    low, high = 0, len(calls)
    try:
        if not fails(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if fails(middle):
                high = middle
            else:
                low = middle
    except RpcError:
        return None
    return high - 1
