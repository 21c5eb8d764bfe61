"""The run's money on a chain: an asset of the Assets pallet, or the native token.

An account of the run is a keyless address that follows from the run and the account's name: only
the operator can move what is there, as custodian. The chain enforces balances; it does not witness
the consent of devices. Devices with keys of their own: `custody`.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from chain_bridge.client import Chain, Event
from chain_bridge.errors import PlanError
from chain_bridge.keys import Signer
from chain_bridge.plan import MOST_SEATS, Action
from chain_bridge.recording import BURN, ISSUANCE
from chain_bridge.runtime import Runtime, blake2

OPERATOR = -1  # the signer of a batch that no device signs
SEAT_MARGIN = 2  # existential deposits that an approval seat keeps beside the deposit
MOST_ACCOUNTS = 2**16 - MOST_SEATS  # sub-accounts whose indices are above those of the seats


class Move(NamedTuple):
    """A movement of the run's money by the chain's events; None for issuance or burning."""

    debit: bytes | None
    credit: bytes | None
    amount: int


def derivative(account: bytes, index: int) -> bytes:
    """Return the address of an account's keyless sub-account (`Utility.as_derivative`)."""
    return blake2(b"modlpy/utilisuba" + account + struct.pack("<H", index))


def _existence(accounts: Sequence[str], amount: int) -> list[Action]:
    """Return the payments of native units without which accounts would not exist."""
    return [Action(0, "fund", "existence", credit=a, amount=amount) for a in accounts]


class Money(ABC):
    """Addresses and calls of the run's money. `scale`: units on the chain per base unit."""

    unit: str

    def __init__(self, runtime: Runtime, operator: bytes, identity: bytes, scale: int) -> None:
        self.runtime = runtime
        self.operator = operator
        self.identity = identity
        self.scale = scale
        self.address = cache(self._address)
        self.existential = int(runtime.constant("Balances", "ExistentialDeposit") or 0)
        # A sub-account of a sub-account of the operator is this run's own; its sub-accounts are the
        # seats and accounts. Two indices, because one has only 16 bits.
        self._indices = struct.unpack("<HH", identity[:4])
        self._root = derivative(derivative(operator, self._indices[0]), self._indices[1])

    @abstractmethod
    def _address(self, account: str) -> bytes:
        """Return the 32 bytes of an account of the run."""

    @abstractmethod
    def opening(self, accounts: Sequence[str]) -> list[Action]:
        """Return what must come before the first entry; `fund` amounts are native units."""

    @abstractmethod
    def call(self, action: Action) -> bytes:
        """Return the encoded call of a mint, burn or transfer."""

    @abstractmethod
    def moves(self, events: Sequence[Event]) -> list[Move]:
        """Return what the events of one call moved."""

    @abstractmethod
    def balances(self, chain: Chain, accounts: Sequence[str], at: str) -> list[int]:
        """Return what accounts hold at a block, in units of the chain that belong to the run."""

    @abstractmethod
    def native_out(self, action: Action) -> int:
        """Return the native units that leave the operator by an action, beside fees."""

    def signer(self, action: Action) -> int:
        """Return who signs an action: a device, or `OPERATOR`."""
        return OPERATOR

    def public(self, signer: int) -> bytes:
        """Return the public key of a signer."""
        return self.operator

    def key(self, signer: int) -> Signer:
        """Return the key of a device that signs; the operator's comes from the user."""
        raise KeyError(signer)

    def sort(self, action: Action) -> str:
        """Return which of the chain's calls an action is: calls of one sort have one price."""
        return action.kind

    def expected(self, action: Action) -> list[Move]:
        """Return what the call of a money action is to move."""
        amount = action.amount * self.scale
        return [Move(self._place(action.debit), self._place(action.credit), amount)]

    def _place(self, account: str) -> bytes | None:
        """Return the address of an account; None for issuance and burn, which have none."""
        return None if account in (ISSUANCE, BURN) else self.address(account)

    def least(self) -> int:
        """Return the least that an account may hold unless it is empty, in units of the chain."""
        return 1

    def seat(self, device: int) -> bytes:
        """Return the address of a device's seat in approvals."""
        return derivative(self._root, device)

    def as_sub(self, index: int, call: bytes) -> bytes:
        """Return a call as made by a sub-account of this run."""
        for number in (index, self._indices[1], self._indices[0]):
            call = self.runtime.call("Utility.as_derivative", number, call)
        return call


class AssetMoney(Money):
    """An asset that the operator issues and administers: accounts hold the journal's balances."""

    def __init__(
        self,
        runtime: Runtime,
        operator: bytes,
        identity: bytes,
        scale: int,
        asset: int,
        details: dict[str, Any] | None,
    ) -> None:
        super().__init__(runtime, operator, identity, scale)
        self.asset = asset
        self.unit = f"asset {asset}"
        self.details = details
        if details is not None:
            for role in ("issuer", "admin"):
                if details[role] != operator:
                    raise PlanError(
                        f"--asset {asset}: its {role} is 0x{details[role].hex()}, not the "
                        "operator; choose another number"
                    )

    def _address(self, account: str) -> bytes:
        return blake2(b"fedstake/account" + self.identity + account.encode())

    def opening(self, accounts: Sequence[str]) -> list[Action]:
        actions = [] if self.details else [Action(0, "create", "asset")]
        if self.details is None or not self.details["is_sufficient"]:
            # Then an account needs native units to exist.
            actions += _existence(accounts, self.existential)
        return actions

    def call(self, action: Action) -> bytes:
        amount, number = action.amount * self.scale, self.asset
        match action.kind:
            case "mint":
                return self.runtime.call("Assets.mint", number, self.address(action.credit), amount)
            case "burn":
                return self.runtime.call("Assets.burn", number, self.address(action.debit), amount)
            case "transfer":
                ends = self.address(action.debit), self.address(action.credit)
                return self.runtime.call("Assets.force_transfer", number, *ends, amount)
        raise AssertionError(action.kind)

    def moves(self, events: Sequence[Event]) -> list[Move]:
        found = []
        for e in events:
            if e.name == "Assets.Issued" and e.fields[0] == self.asset:
                found.append(Move(None, e.fields[1], e.fields[2]))
            elif e.name == "Assets.Burned" and e.fields[0] == self.asset:
                found.append(Move(e.fields[1], None, e.fields[2]))
            elif e.name == "Assets.Transferred" and e.fields[0] == self.asset:
                found.append(Move(*e.fields[1:4]))
        return found

    def balances(self, chain: Chain, accounts: Sequence[str], at: str) -> list[int]:
        number = struct.pack("<I", self.asset)
        held = chain.read_many(
            "Assets", "Account", [(number, self.address(a)) for a in accounts], at=at
        )
        return [0 if h is None else int(h["balance"]) for h in held]

    def native_out(self, action: Action) -> int:
        return action.amount if action.kind == "fund" else 0

    def least(self) -> int:
        return int(self.details["min_balance"]) if self.details else 1

    def supply(self, chain: Chain, at: str) -> int:
        """Return the units issued and not burned, of all runs on this chain."""
        return self._count(chain, "supply", at)

    def holders(self, chain: Chain, at: str) -> int:
        """Return how many accounts hold any of it."""
        return self._count(chain, "accounts", at)

    def _count(self, chain: Chain, what: str, at: str) -> int:
        details = chain.read("Assets", "Asset", struct.pack("<I", self.asset), at=at)
        return 0 if details is None else int(details[what])


class NativeMoney(Money):
    """The native token.

    What the run issues comes out of the operator's account, what it burns goes back there. Every
    account keeps an existential deposit beside what the journal gives it.
    """

    unit = "native units"

    def __init__(
        self,
        runtime: Runtime,
        operator: bytes,
        identity: bytes,
        scale: int,
        accounts: Sequence[str],
    ) -> None:
        super().__init__(runtime, operator, identity, scale)
        if len(accounts) > MOST_ACCOUNTS:
            raise PlanError(
                f"{len(accounts)} accounts; in the native token there is room for "
                f"{MOST_ACCOUNTS} sub-accounts"
            )
        self._index = {a: MOST_SEATS + i for i, a in enumerate(accounts)}

    def _address(self, account: str) -> bytes:
        return derivative(self._root, self._index[account])

    def _end(self, account: str) -> bytes:
        return self.operator if account in (ISSUANCE, BURN) else self.address(account)

    def opening(self, accounts: Sequence[str]) -> list[Action]:
        return _existence(accounts, self.existential)

    def call(self, action: Action) -> bytes:
        pay = self.runtime.call(
            "Balances.transfer_keep_alive", self._end(action.credit), action.amount * self.scale
        )
        return pay if action.debit == ISSUANCE else self.as_sub(self._index[action.debit], pay)

    def moves(self, events: Sequence[Event]) -> list[Move]:
        return [Move(*e.fields[:3]) for e in events if e.name == "Balances.Transfer"]

    def expected(self, action: Action) -> list[Move]:
        return [Move(self._end(action.debit), self._end(action.credit), action.amount * self.scale)]

    def balances(self, chain: Chain, accounts: Sequence[str], at: str) -> list[int]:
        held = chain.read_many("System", "Account", [(self.address(a),) for a in accounts], at=at)
        return [0 if h is None else int(h["data"]["free"]) - self.existential for h in held]

    def native_out(self, action: Action) -> int:
        if action.kind == "mint":
            return action.amount * self.scale
        if action.kind == "burn":
            return -action.amount * self.scale
        return action.amount if action.kind == "fund" else 0
