"""Binding of a plan to one chain: its money there, what the chain lacks, what must come first."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

from chain_bridge.client import Chain
from chain_bridge.custody import OwnedAsset, allowance, fee_funds
from chain_bridge.errors import PlanError
from chain_bridge.header import Header
from chain_bridge.keys import Signer
from chain_bridge.landed import walk
from chain_bridge.money import OPERATOR, SEAT_MARGIN, AssetMoney, Money, NativeMoney
from chain_bridge.packing import pack
from chain_bridge.plan import MONEY, Action, Kind, Plan
from chain_bridge.pricing import probe
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.runtime import Runtime, Weight
from chain_bridge.script import Custody, Price, Script, majority

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


class Form(NamedTuple):
    """What a user may choose of a script: see `make_script`."""

    token: Token
    asset: int
    scale: int
    most: int | None
    custody: Custody


NOTHING = Price(Weight(0), 0, 0)
ANY_FUNDS = 2**64  # native units that stand for a device's funds while calls are priced
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
    custody: Custody = "operator",
) -> Script:
    """Bind a plan to a chain.

    `scale`: units on the chain per base unit; `most`: calls in a batch at most; `custody`: who
    signs. Raises `PlanError` when the chain cannot hold the run's money, before anything is signed.
    """
    runtime = chain.runtime
    for call in ("Utility.batch_all", "System.remark_with_event"):
        if not runtime.has(call):
            raise PlanError(
                f"{chain.url} ({runtime.spec_name}) has no {call}: without it a batch cannot be "
                "paid exactly once"
            )
    form = Form(token, asset, scale, most, custody)
    script = _bind(chain, plan, signer, form)
    if not _may_differ(chain, script):
        return script
    # Perhaps an earlier attempt at this replay found the chain otherwise.
    signers = {OPERATOR: signer.public}
    for header, _, succeeded in walk(chain, script.identity, signers, chain.head()):
        if succeeded and header != script.header(header.batch):
            return _as_begun(chain, plan, signer, form, header) or script
    return script


def _may_differ(chain: Chain, script: Script) -> bool:
    """Return whether a script that was begun earlier may have been another.

    It created the asset that is there now, or it funded devices at other prices.
    """
    details = script.money.details if isinstance(script.money, AssetMoney) else None
    created = details is not None and not details["is_sufficient"]
    return created or (script.custody == "devices" and chain.sealing == "by itself")


def _as_begun(
    chain: Chain, plan: Plan, signer: Signer, form: Form, header: Header
) -> Script | None:
    """Return the script that has a batch with this header; None where no attempt had it."""
    shifts = (0,) if form.custody == "operator" else (0, -1, 1)
    # The first of them is the script whose header it is not.
    for created, shift in [*product((False, True), shifts)][1:]:
        script = _bind(chain, plan, signer, form, created=created, shift=shift)
        if header == script.header(header.batch):
            return script
    return None


def _bind(
    chain: Chain,
    plan: Plan,
    signer: Signer,
    form: Form,
    *,
    created: bool = False,
    shift: int = 0,
) -> Script:
    """Bind a plan.

    `created`: as if the asset were not there and the script created it; `shift`: devices get what
    they need times this power of two.
    """
    runtime, custody = chain.runtime, form.custody
    skipped: list[str] = []
    money = _money(chain, plan, signer, form, skipped, created=created)
    actions = _supported(runtime, plan.actions, skipped)
    opening = money.opening(plan.accounts)
    if custody == "operator":
        opening += _seats(runtime, money, actions)
    script = Script(plan, runtime, money, opening + actions, skipped, {}, NOTHING, chain.coin)
    script.custody = custody
    _check_amounts(plan, money)
    if custody == "devices":
        _fund_fees(chain, script, signer, form.most, opening, actions, shift)
    else:
        probe(chain, script, signer)
        script.batches = pack(script, runtime.limits, form.most)
    return script


def _fund_fees(
    chain: Chain,
    script: Script,
    signer: Signer,
    most: int | None,
    opening: Sequence[Action],
    actions: Sequence[Action],
    shift: int,
) -> None:
    """Pack a script whose first actions fund every device with what its own batches need."""
    devices = sorted({script.signer(a) for a in actions} - {OPERATOR})
    script.actions = [*opening, *fee_funds(devices, ANY_FUNDS), *actions]
    probe(chain, script, signer)

    # What a device needs follows from its batches, and these not from what it gets.
    script.batches = pack(script, script.runtime.limits, most)
    signed = [script.signed_by(d, script.batches) for d in devices]
    if devices:
        fees = allowance(max(script.fees(*by_device) for by_device in signed), shift)
        kept = max(script.kept_by_device(own) for own, _ in signed)
        funds = fee_funds(devices, fees + kept)
        script.actions = [*opening, *funds, *actions]
        script.batches = pack(script, script.runtime.limits, most)


def _money(
    chain: Chain,
    plan: Plan,
    signer: Signer,
    form: Form,
    skipped: list[str],
    *,
    created: bool,
) -> Money:
    """Return what holds the run's money on the chain; adds to `skipped` what it cannot do."""
    runtime, identity = chain.runtime, plan.run.identity
    token, asset, scale, _, custody = form
    wanted = ["Assets.mint", "Assets.burn", "Assets.force_transfer"]
    if custody == "devices":
        wanted.append("Assets.transfer")
    missing = [c for c in wanted if not runtime.has(c)]
    if missing and token == "asset":
        raise PlanError(
            f"--token asset: {chain.url} ({runtime.spec_name}) has no {missing[0]}; --token native "
            "moves its own token"
        )
    if token != "native" and not missing:
        details = None if created else chain.read("Assets", "Asset", struct.pack("<I", asset))
        kind = OwnedAsset if custody == "devices" else AssetMoney
        return kind(runtime, signer.public, identity, scale, asset, details)
    if custody == "devices":
        raise PlanError(
            "--custody devices: the run's money must be an asset; in the native token a device's "
            "fees could not be told from it"
        )
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


def _seats(runtime: Runtime, money: Money, actions: Sequence[Action]) -> list[Action]:
    """Return the payments of what seats of the operator's reserve for approvals."""
    # A seat that proposes reserves a deposit while the approval is open.
    proposals = [a for a in actions if a.kind == "propose"]
    base = int(runtime.constant("Multisig", "DepositBase") or 0)
    each = int(runtime.constant("Multisig", "DepositFactor") or 0)
    seats: dict[int, int] = {}
    for a in proposals:
        needed = SEAT_MARGIN * money.existential + base + each * majority(a.members)
        seats[a.device] = max(seats.get(a.device, 0), needed)
    return [
        Action(0, "fund", "seat", credit=f"seat:{d}", amount=n, device=d)
        for d, n in sorted(seats.items())
    ]


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
