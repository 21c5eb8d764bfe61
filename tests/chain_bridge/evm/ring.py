"""Contracts in an EVM inside this process: thousands of calls a second, no blocks, no gas to read.

Nothing here stands in for a contract: the compiled code is executed.
"""

import json
import re
from pathlib import Path

from eth_utils import keccak
from pyrevm import EVM, BlockEnv

from chain_bridge.evm.accounts import escrow_address
from chain_bridge.evm.contracts import Contract, load, refusal

ORGANISATION = "0x" + "0a" * 20
STRANGER = "0x" + "0e" * 20
TREASURY = "0x" + "0f" * 20
EVERYTHING = 2**256 - 1
MOST = 200_000
"""Calls and answers that are remembered, so that they are not encoded or decoded again."""
ESCROWS = (
    "escrow:coordinator-stakes",
    "escrow:bonds",
    "escrow:pool",
    "escrow:stakes",
    "escrow:subscription",
    "escrow:contributors",
    "escrow:engineers",
    "escrow:annotators",
    "escrow:market",
)
_OUTPUT = re.compile(r"output: 0x([0-9a-f]*)")
OF_TESTS = Path(__file__).parent / "contracts"


def member(number):
    """Return the address of a participant."""
    return "0x" + f"{number + 1:02x}" * 20


def of_tests(name):
    """Return a contract that tests bring along."""
    artifact = json.loads((OF_TESTS / f"{name}.json").read_text())
    code = bytes.fromhex(artifact["bytecode"][2:])
    return Contract(name, artifact["abi"], code)


_ASKED = {}
_ANSWERED = {}


def asked(code, function, arguments):
    """Return the data of a call; the same ones come again and again."""
    key = (code.name, function, repr(arguments))
    if key not in _ASKED:
        if len(_ASKED) > MOST:
            _ASKED.clear()
        _ASKED[key] = code.call(function, arguments)
    return _ASKED[key]


def answered(code, function, raw):
    """Return what a call gave, decoded once for each answer."""
    key = (code.name, function, raw)
    if key not in _ANSWERED:
        if len(_ANSWERED) > MOST:
            _ANSWERED.clear()
        _ANSWERED[key] = code.result(function, raw)
    return _ANSWERED[key]


class Ring:
    """A token, a contract, and those who call it.

    `call` returns "" or the name of the error by which a call was refused.
    """

    def __init__(self, contract, *terms, members=5, each=1_000, token=None):
        self.evm = EVM(spec_id="CANCUN")
        self.time = 1_000_000
        self.elapse(0)
        self.token_code = token or load("RunToken")
        self.token = self.create(self.token_code, *([] if token else ["T", ORGANISATION]))
        self.code = load(contract)
        self.rule = self.create(self.code, self.token, ORGANISATION, *terms)
        self.members = [member(number) for number in range(members)]
        if token is None:
            issuer = keccak(text="ISSUER")
            assert not self.of_token(ORGANISATION, "grantRole", issuer, self.rule)
        self.accounts = [*self.members, ORGANISATION, STRANGER, TREASURY, self.rule]
        for who in [*self.members, ORGANISATION, STRANGER]:
            assert not self.of_token(ORGANISATION, "mint", who, each)
            assert not self.of_token(who, "approve", self.rule, EVERYTHING)
        self.given = self.supply()

    def create(self, code, *arguments):
        return self.evm.deploy(ORGANISATION, code.creation(*arguments))

    def elapse(self, seconds):
        self.time += seconds
        self.evm.set_block_env(BlockEnv(timestamp=self.time))

    def call(self, who, function, *arguments):
        return self._call(who, self.rule, self.code, function, arguments)

    def of_token(self, who, function, *arguments):
        return self._call(who, self.token, self.token_code, function, arguments)

    def _call(self, who, to, code, function, arguments):
        try:
            self.evm.message_call(who, to, calldata=asked(code, function, arguments))
        except RuntimeError as error:
            found = _OUTPUT.search(str(error))
            if found is None:
                raise
            return refusal(bytes.fromhex(found[1]))
        return ""

    def view(self, function, *arguments):
        return self._view(self.rule, self.code, function, arguments)

    def _view(self, to, code, function, arguments):
        raw = self.evm.message_call(STRANGER, to, calldata=asked(code, function, arguments))
        found = answered(code, function, bytes(raw))
        return found[0] if len(found) == 1 else found

    def balance(self, who):
        return self._view(self.token, self.token_code, "balanceOf", (who,))

    def supply(self):
        return self._view(self.token, self.token_code, "totalSupply", ())

    def held(self):
        """Return what the contract says that each escrow account holds."""
        return self.view("holdings", [escrow_address(name) for name in ESCROWS])

    def check(self):
        """Whatever was called: every unit is somebody's, and the contract holds what it owes."""
        assert self.balance(self.rule) == sum(self.held())
        assert self.supply() == sum(self.balance(who) for who in self.accounts)
