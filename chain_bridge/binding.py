"""Binding of a plan to one chain: its money there, what the chain lacks, what must come first."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Literal

from chain_bridge.client import Chain
from chain_bridge.errors import PlanError
from chain_bridge.keys import Signer
from chain_bridge.landed import walk
from chain_bridge.money import SEAT_MARGIN, AssetMoney, Money, NativeMoney
from chain_bridge.packing import pack
from chain_bridge.plan import MONEY, Action, Kind, Plan
from chain_bridge.pricing import probe
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.runtime import Runtime, Weight
from chain_bridge.script import Price, Script, majority

Token = Literal["auto", "asset", "native"]

NEEDS: dict[Kind, tuple[str, ...]] = {
    "create": ("Assets.create",),
    "fund": ("Balances.transfer_keep_alive",),
    "note": ("System.remark_with_event",),
    "collection": ("Uniques.create",),
    "version": ("Uniques.mint",),
    "metadata": ("Uniques.set_metadata",),
    "licences": ("Uniques.create",),
    "licence": ("Uniques.mint",),
    "attribute": ("Uniques.set_attribute",),
    "propose": ("Multisig.approve_as_multi", "Utility.as_derivative"),
    "approve": ("Multisig.as_multi", "Utility.as_derivative"),
}
VERSIONS: tuple[Kind, ...] = ("collection", "version", "metadata")
LICENCES: tuple[Kind, ...] = ("licences", "licence", "attribute")
CALLED: dict[str, str] = {
    "note": "declared notes",
    "propose": "collective approvals",
    **dict.fromkeys(VERSIONS, "model versions"),
    **dict.fromkeys(LICENCES, "licences"),
}


def make_script(
    chain: Chain,
    plan: Plan,
    signer: Signer,
    *,
    token: Token = "auto",
    asset: int = 1,
    scale: int = 1,
    most: int | None = None,
) -> Script:
    """Bind a plan to a chain.

    `scale`: units on the chain per base unit; `most`: calls in a batch at most. Raises `PlanError`
    when the chain cannot hold the run's money, before anything is signed.
    """
    runtime = chain.runtime
    for call in ("Utility.batch_all", "System.remark_with_event"):
        if not runtime.has(call):
            raise PlanError(
                f"{chain.url} ({runtime.spec_name}) has no {call}: without it a batch cannot be "
                "paid exactly once"
            )
    script = _bind(chain, plan, signer, token, asset, scale, most, created=False)
    details = script.money.details if isinstance(script.money, AssetMoney) else None
    if details and not details["is_sufficient"]:
        # Perhaps an earlier attempt at this replay created the asset, in its first batch.
        creating = _bind(chain, plan, signer, token, asset, scale, most, created=True)
        for header, _, succeeded in walk(chain, script.identity, signer.public, chain.head()):
            if succeeded and header == creating.header(header.batch):
                return creating
    return script


def _bind(
    chain: Chain,
    plan: Plan,
    signer: Signer,
    token: Token,
    asset: int,
    scale: int,
    most: int | None,
    *,
    created: bool,
) -> Script:
    """Bind a plan; `created`: as if the asset were not there and the script created it."""
    runtime = chain.runtime
    skipped: list[str] = []
    money = _money(chain, plan, signer, token, asset, scale, skipped, created)
    actions = _supported(runtime, plan.actions, skipped)
    actions = _opening(runtime, money, plan.accounts, actions) + actions
    script = Script(plan, runtime, money, actions, skipped, {}, Price(Weight(0), 0, 0), chain.coin)
    _check_amounts(plan, money)
    probe(chain, script, signer)
    script.batches = pack(script, runtime.limits, most)
    return script


def _money(
    chain: Chain,
    plan: Plan,
    signer: Signer,
    token: Token,
    asset: int,
    scale: int,
    skipped: list[str],
    created: bool,
) -> Money:
    """Return what holds the run's money on the chain; adds to `skipped` what it cannot do."""
    runtime, identity = chain.runtime, plan.run.identity
    wanted = ("Assets.mint", "Assets.burn", "Assets.force_transfer")
    missing = [c for c in wanted if not runtime.has(c)]
    if missing and token == "asset":
        raise PlanError(
            f"--token asset: {chain.url} ({runtime.spec_name}) has no {missing[0]}; --token native "
            "moves its own token"
        )
    if token != "native" and not missing:
        details = None if created else chain.read("Assets", "Asset", struct.pack("<I", asset))
        return AssetMoney(runtime, signer.public, identity, scale, asset, details)
    if not runtime.has("Utility.as_derivative"):
        raise PlanError(
            f"{chain.url} ({runtime.spec_name}) has neither Assets nor Utility.as_derivative: "
            "it cannot hold the run's money"
        )
    if missing:
        skipped.append(f"asset: the chain has no {missing[0]}; the run's money is its native token")
    if any(a.kind == "burn" for a in plan.actions):
        skipped.append("burning: in the native token what the run burns goes back to the operator")
    return NativeMoney(runtime, signer.public, identity, scale, plan.accounts)


def _supported(runtime: Runtime, actions: Sequence[Action], skipped: list[str]) -> list[Action]:
    """Return the actions that the chain can do; adds to `skipped` each kind that it cannot."""
    # Kinds that lack a call, and which.
    lacking: dict[str, str] = {}
    for kind in dict.fromkeys(a.kind for a in actions):
        missing = [c for c in NEEDS.get(kind, ()) if not runtime.has(c)]
        if missing:
            lacking[kind] = missing[0]
    # Kinds that make sense together only.
    for group in (VERSIONS, LICENCES, ("propose", "approve")):
        missing = [lacking[kind] for kind in group if kind in lacking]
        if missing:
            lacking |= dict.fromkeys(group, missing[0])
    named = {CALLED.get(kind, kind): call for kind, call in lacking.items() if kind != "approve"}
    skipped += sorted(f"{name}: the chain has no {call}" for name, call in named.items())
    return [a for a in actions if a.kind not in lacking]


def _opening(
    runtime: Runtime, money: Money, accounts: Sequence[str], actions: Sequence[Action]
) -> list[Action]:
    """Return what must come first: the asset, existential deposits, deposits of approval seats."""
    # A seat that proposes reserves a deposit while the approval is open.
    proposals = [a for a in actions if a.kind == "propose"]
    base = int(runtime.constant("Multisig", "DepositBase") or 0)
    each = int(runtime.constant("Multisig", "DepositFactor") or 0)
    seats: dict[int, int] = {}
    for a in proposals:
        needed = SEAT_MARGIN * money.existential + base + each * majority(a.members)
        seats[a.device] = max(seats.get(a.device, 0), needed)
    funds = [
        Action(0, "fund", "seat", credit=f"seat:{d}", amount=n, device=d)
        for d, n in sorted(seats.items())
    ]
    return money.opening(accounts) + funds


def _check_amounts(plan: Plan, money: Money) -> None:
    """Raise `PlanError` unless every balance is within what the chain can hold and count."""
    least, held = money.least(), dict.fromkeys(plan.accounts, 0)
    issued = 0
    for a in plan.actions:
        if a.kind not in MONEY:
            continue
        if a.debit == ISSUANCE:
            issued += a.amount
        for name, change in ((a.debit, -a.amount), (a.credit, a.amount)):
            if name in (ISSUANCE, BURN):
                continue
            held[name] += change
            if 0 < held[name] * money.scale < least:
                wanted = -(-least // held[name])
                raise PlanError(
                    f"round {a.round}: {name} would hold {held[name] * money.scale} of "
                    f"{money.unit}, which keeps at least {least} in an account "
                    f"(its existential deposit): --scale {wanted} or more"
                )
    if issued * money.scale >= 10**38:  # the chain itself would take a little more, 2**128
        raise PlanError(
            f"--scale {money.scale}: {issued} base units issued would not fit 38 digits"
        )
