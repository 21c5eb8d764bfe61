"""Who signs: one operator for everybody, or every device for itself.

In custody `devices` every device of a run has a key. It pays with its own transfers, makes its own
notes and approvals, and pays the fees of its own transactions. Escrows, pools and other accounts
that are no device's stay keyless: the operator moves what is there, as the asset's administrator.
It also issues, burns (the pallet lets nobody else) and funds the devices' fees.

A device's key follows from the run and the device, like the address of an account. Whoever has the
run has the keys, so they are good on development chains only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import nacl.signing

from chain_bridge.devices import NO_DEVICE, account_of, device_of
from chain_bridge.keys import Signer
from chain_bridge.money import OPERATOR, AssetMoney
from chain_bridge.plan import Action
from chain_bridge.runtime import blake2

OWNED = ("Assets.transfer", "Assets.mint", "Assets.burn", "Assets.force_transfer")
"""Calls without which devices cannot hold the run's money themselves."""
FEES = "fees"
"""The reason of what devices get to pay fees with."""
OWN = "own transfer"
"""The sort of a payment that a device signs."""


def device_key(identity: bytes, device: int) -> Signer:
    """Return the key of a device of a run (`identity`: the run's 16 bytes)."""
    seed = blake2(b"fedstake/device" + identity + str(device).encode())
    secret = nacl.signing.SigningKey(seed)
    return Signer("ed25519", bytes(secret.verify_key), True, secret)


class OwnedAsset(AssetMoney):
    """An asset that the operator issues and that devices hold with keys of their own."""

    @cache  # noqa: B019 - lives as long as the replay
    def key(self, signer: int) -> Signer:
        """Return the key of a device."""
        return device_key(self.identity, signer)

    def public(self, signer: int) -> bytes:
        return self.operator if signer == OPERATOR else self.key(signer).public

    def _address(self, account: str) -> bytes:
        device = device_of(account)
        return super()._address(account) if device == NO_DEVICE else self.public(device)

    def signer(self, action: Action) -> int:
        """Return the device that signs an action; `OPERATOR` for what no device can do."""
        if action.kind == "transfer":
            device = device_of(action.debit)
            return OPERATOR if device == NO_DEVICE else device
        if action.kind in ("note", "propose", "approve"):
            return max(action.device, OPERATOR)
        return OPERATOR

    def sort(self, action: Action) -> str:
        own = action.kind == "transfer" and self.signer(action) != OPERATOR
        return OWN if own else action.kind

    def call(self, action: Action) -> bytes:
        if self.sort(action) != OWN:
            return super().call(action)
        credit, amount = self.address(action.credit), action.amount * self.scale
        return self.runtime.call("Assets.transfer", self.asset, credit, amount)

    def opening(self, accounts: Sequence[str]) -> list[Action]:
        """Return what must come first; devices exist by what is paid to them for fees."""
        return super().opening([a for a in accounts if device_of(a) == NO_DEVICE])

    def seat(self, device: int) -> bytes:
        """Return the address of a device's seat in approvals: its own."""
        return self.public(device)

    def as_sub(self, index: int, call: bytes) -> bytes:
        """Return a call of a seat as the device itself makes it."""
        return call


def allowance(fees: int, shift: int = 0) -> int:
    """Return what each device gets for fees: twice the greatest estimate, as a power of two.

    Fees may rise while a replay goes on, and estimates of an interrupted replay and of the one that
    goes on must give the same amount. `shift`: times this power of two.
    """
    return 1 << (2 * fees - 1).bit_length() + shift


def fee_funds(signers: Sequence[int], amount: int) -> list[Action]:
    """Return the operator's payments of native units for the fees of devices."""
    return [Action(0, "fund", FEES, credit=account_of(d), amount=amount, device=d) for d in signers]
