"""The chain as a replay uses it: accounts call contracts, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from eth_utils import keccak

from chain_bridge.devices import NO_DEVICE
from chain_bridge.errors import BridgeError, ReplayError, RpcError
from chain_bridge.evm.accounts import Account, created_address, escrow_address
from chain_bridge.evm.contracts import Contract, Event, load, refusal
from chain_bridge.evm.rpc import Rpc
from chain_bridge.recording import BURN, ISSUANCE

TICKS = 10**6
"""Units of block time in a simulated second: it counts microseconds from that of block 0 on."""
GAS = 1_000_000_000
"""Gas that a transaction may use at most: enough for a round of thousands of devices.

What would not fit into a block of a live network shows in the tables.
"""
LONGEST = 400
"""Calls that are put into one block at most."""
DONE, STALE = "", "stale"
"""Outcomes of a call beside the names of a contract's errors: it was executed; the node refused a
transaction that had been sent before.
"""
TOKEN = "token"
NOBODY = "0x" + "00" * 20
_TRACE = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}


class Call(NamedTuple):
    """One call of an account.

    `to`: the contract, by its name on the stage; `allowed`: outcomes as they should be: `DONE`, or
    names of errors; `reason`: of what a call of the token moves; `device`: whose gas it is (-1:
    none); `incident`: the kind under which the run noted the refusal, "" for none; `again`: the
    account sends its last transaction once more instead.
    """

    who: str
    to: str
    function: str
    arguments: tuple[Any, ...] = ()
    allowed: tuple[str, ...] = (DONE,)
    reason: str = ""
    device: int = NO_DEVICE
    incident: str = ""
    again: bool = False

    def text(self) -> str:
        """Return the call in words, without its arguments."""
        if self.again:
            return "a transaction once more"
        return f"{self.to}.{self.function}"


class Move(NamedTuple):
    """Base units that a call moved between accounts, by the contracts' events."""

    debit: str
    credit: str
    amount: int
    reason: str


class Sent(NamedTuple):
    """A call that was sent, and what became of it.

    `outcome`: see `Call.allowed`; `moves` are in the order of the events.
    """

    round: int
    block: int
    call: Call
    gas: int
    outcome: str
    moves: tuple[Move, ...]
    events: tuple[Event, ...]
    transaction: str

    @property
    def proper(self) -> bool:
        """Whether it ended as it should."""
        return self.outcome in self.call.allowed


@dataclass(frozen=True)
class Placed:
    """A contract on the chain; `gas`: what its creation cost."""

    contract: Contract
    address: str
    gas: int


class Block(NamedTuple):
    """The last block: its number and its time."""

    number: int
    time: int


class Head(NamedTuple):
    """The last block: its number and the state that it left."""

    number: int
    state_root: str


@dataclass
class Stage:
    """A chain, the accounts of a run, and the contracts that they call.

    `round`: that the calls belong to; `on_calls`: told of every call that was sent, by block.
    """

    rpc: Rpc
    chain_id: int
    run: bytes
    on_calls: Callable[[Sequence[Sent]], None] = lambda _: None
    round: int = 0
    placed: dict[str, Placed] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    _accounts: dict[str, Account] = field(default_factory=dict)
    _nonces: dict[str, int] = field(default_factory=dict)
    _last: dict[str, bytes] = field(default_factory=dict)
    _next_time: int = 0

    def __post_init__(self) -> None:
        found = self.rpc("eth_getBlockByNumber", "latest", False)
        self.block = Block(int(found["number"], 16), int(found["timestamp"], 16))
        self.genesis = self.block.time

    # --- accounts ---------------------------------------------------------------------------------

    def account(self, name: str) -> Account:
        """Return an account of the run by name; its key follows from the run and the name."""
        if name not in self._accounts:
            self._accounts[name] = account = Account(self.run, name)
            self._nonces[name] = 0
            self.names[account.address] = name
        return self._accounts[name]

    def address(self, name: str) -> str:
        """Return the address of an account, or under which a contract books an escrow account."""
        if name.startswith("escrow:"):
            found = escrow_address(name)
            self.names[found] = name
            return found
        return self.account(name).address

    def addresses(self, names: Sequence[str]) -> list[str]:
        return [self.address(name) for name in names]

    # --- contracts --------------------------------------------------------------------------------

    def create(self, name: str, contract: str, creator: str, *arguments: Any) -> Placed:
        """Put a contract on the chain; `name` is what calls and journals call it."""
        compiled = load(contract)
        account = self.account(creator)
        nonce = self._nonces[creator]
        data = compiled.creation(*arguments)
        raw = account.sign(self.chain_id, nonce, GAS, "0x", data)
        self._send(creator, raw)
        (receipt,) = self._mine()
        address = created_address(account.address, nonce)
        if int(receipt["status"], 16) != 1 or receipt["contractAddress"] != address:
            reason = self._reason(receipt["transactionHash"])
            raise ReplayError(f"the chain refused to create {contract}: {reason}")
        self.placed[name] = Placed(compiled, address, int(receipt["gasUsed"], 16))
        self.names[address] = name
        return self.placed[name]

    def view(self, to: str, function: str, *arguments: Any) -> Any:
        """Return what a contract answers now; of several values a tuple."""
        return self.views(to, function, [arguments])[0]

    def views(self, to: str, function: str, asked: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return what a contract answers now to each of several arguments, asked at once."""
        placed = self.placed[to]
        requests = []
        for arguments in asked:
            data = "0x" + placed.contract.call(function, arguments).hex()
            requests.append(({"to": placed.address, "data": data}, "latest"))
        found = []
        for raw in self.rpc.many("eth_call", requests):
            values = placed.contract.result(function, bytes.fromhex(raw[2:]))
            found.append(values[0] if len(values) == 1 else values)
        return found

    def credits(self, to: str, names: Sequence[str]) -> list[Any]:
        """Return what a contract owes each of several accounts."""
        return self.views(to, "credits", [(address,) for address in self.addresses(names)])

    # --- time -------------------------------------------------------------------------------------

    def not_before(self, seconds: float) -> None:
        """Let the next block be no earlier than a moment of the run, in simulated seconds."""
        self.until(self.moment(seconds))

    def moment(self, seconds: float) -> int:
        """Return a moment of the run, in simulated seconds, as block time."""
        return self.genesis + round(seconds * TICKS)

    def until(self, time: int) -> None:
        """Let the next block be no earlier than a moment in units of block time."""
        self._next_time = max(self._next_time, time)

    @property
    def now(self) -> int:
        """The moment of the last block, or the later one that is waited for."""
        return max(self.block.time, self._next_time)

    # --- calls ------------------------------------------------------------------------------------

    def send(self, calls: Sequence[Call]) -> None:
        """Make calls in their order, in as few blocks as they fit; `on_calls` is told of each."""
        for start in range(0, len(calls), LONGEST):
            self._send_block(calls[start : start + LONGEST])

    def one(self, call: Call) -> None:
        """Make one call, in a block of its own."""
        self.send([call])

    def _send_block(self, calls: Sequence[Call]) -> None:
        hashes: list[str] = []
        for call in calls:
            raw = self._signed(call)
            try:
                self._send(call.who, raw, again=call.again)
            except RpcError as error:
                if not call.again or "nonce too low" not in error.message:
                    raise
                hashes.append("")
                continue
            hashes.append("0x" + keccak(raw).hex())
        receipts = {receipt["transactionHash"]: receipt for receipt in self._mine()}
        self.on_calls([self._outcome(*pair, receipts) for pair in zip(calls, hashes, strict=True)])

    def _signed(self, call: Call) -> bytes:
        account = self.account(call.who)
        if call.again:
            return self._last[call.who]
        placed = self.placed[call.to]
        data = placed.contract.call(call.function, call.arguments)
        return account.sign(self.chain_id, self._nonces[call.who], GAS, placed.address, data)

    def _send(self, who: str, raw: bytes, *, again: bool = False) -> None:
        self.rpc("eth_sendRawTransaction", "0x" + raw.hex())
        if not again:
            self._nonces[who] += 1
            self._last[who] = raw

    def _mine(self) -> list[dict[str, Any]]:
        """Make a block of all that was sent, at its time; return the receipts."""
        time = max(self._next_time, self.block.time + 1)
        self.rpc("evm_mine", time)
        self.block = Block(self.block.number + 1, time)
        receipts: list[dict[str, Any]] = self.rpc("eth_getBlockReceipts", hex(self.block.number))
        return receipts

    def head(self) -> Head:
        """Return the last block; `BridgeError` where it is not the one that was made last."""
        found = self.rpc("eth_getBlockByNumber", "latest", False)
        block = Block(int(found["number"], 16), int(found["timestamp"], 16))
        if block != self.block:
            raise BridgeError(
                f"{self.rpc.url} made block {block.number} at {block.time}, asked for was "
                f"block {self.block.number} at {self.block.time}"
            )
        return Head(block.number, found["stateRoot"])

    # --- what became of a call --------------------------------------------------------------------

    def _outcome(self, call: Call, hash: str, receipts: dict[str, dict[str, Any]]) -> Sent:
        if not hash:
            return Sent(self.round, self.block.number, call, 0, STALE, (), (), "")
        receipt = receipts.get(hash)
        if receipt is None:
            raise ReplayError(
                f"{self.rpc.url} left {call.text()} of {call.who} out of block {self.block.number}"
            )
        gas, outcome = int(receipt["gasUsed"], 16), DONE
        if int(receipt["status"], 16) != 1:
            outcome = self._reason(hash)
        moves, events = self._read(call, receipt["logs"])
        return Sent(self.round, self.block.number, call, gas, outcome, moves, events, hash)

    def _reason(self, hash: str) -> str:
        """Return the name of the error by which a contract refused a transaction."""
        trace = self.rpc("debug_traceTransaction", hash, _TRACE)
        return refusal(bytes.fromhex(trace.get("output", "0x")[2:]))

    def _read(
        self, call: Call, logs: Sequence[dict[str, Any]]
    ) -> tuple[tuple[Move, ...], tuple[Event, ...]]:
        """Return what a call moved, and the other events of its contract."""
        moves, events = [], []
        for log in logs:
            name = self.names.get(log["address"], "")
            if name not in self.placed:
                continue
            event = self.placed[name].contract.event(log)
            if event is None:
                continue
            if event.name == "Moved":
                reason = event.values["reason"].rstrip(b"\0").decode(errors="replace")
                moves.append(self._move(event, "debit", "credit", "amount", reason))
            elif event.name == "Transfer" and call.to == TOKEN:
                moves.append(self._move(event, "from", "to", "value", call.reason))
            elif name != TOKEN:
                events.append(event)
        return tuple(moves), tuple(events)

    def _move(self, event: Event, debit: str, credit: str, amount: str, reason: str) -> Move:
        values = event.values
        payer = self._name(values[debit], ISSUANCE)
        payee = self._name(values[credit], BURN)
        return Move(payer, payee, int(values[amount]), reason)

    def _name(self, address: str, nobody: str) -> str:
        return nobody if address == NOBODY else self.names.get(address, address)

    # --- balances ---------------------------------------------------------------------------------

    def balances(self, names: Sequence[str], keeper: str) -> Iterator[tuple[str, int]]:
        """Yield what accounts hold now; those of an escrow are kept by the contract `keeper`."""
        kept = [name for name in names if name.startswith("escrow:")]
        own = [name for name in names if not name.startswith("escrow:")]
        yield from zip(own, self.view(TOKEN, "balances", self.addresses(own)), strict=True)
        yield from zip(kept, self.view(keeper, "holdings", self.addresses(kept)), strict=True)
