"""Artifacts are what the compiler makes of the sources, byte by byte."""

import hashlib
import json
from pathlib import Path

import pytest

from chain_bridge.errors import BridgeError
from chain_bridge.evm.compile import compile_contracts
from chain_bridge.evm.contracts import ARTIFACTS
from chain_bridge.evm.programs import HERE, PROGRAMS, anvil
from tests.chain_bridge.evm.ring import OF_TESTS

MOST_BYTES = 24_576
"""Of a contract on Ethereum's main network (EIP-170)."""


@pytest.mark.parametrize("path", sorted(ARTIFACTS.glob("*.json")), ids=lambda p: p.stem)
def test_artifacts_are_of_these_sources(path):
    artifact = json.loads(path.read_text())
    own = {p.name: p for p in (HERE / "contracts").glob("*.sol")}
    listed = {n: d for n, d in artifact["sources"].items() if not n.startswith("@")}
    assert {*listed} == {*own}
    for name, digest in listed.items():
        assert hashlib.sha256(own[name].read_bytes()).hexdigest() == digest, name
    assert artifact["bytes"] <= MOST_BYTES
    assert artifact["compiler"].startswith("0.8.37+")
    assert str(Path.home()) not in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("committed", "sources"),
    [(ARTIFACTS, HERE / "contracts"), (OF_TESTS, OF_TESTS)],
    ids=["own", "of tests"],
)
def test_compiling_again_gives_the_same_bytes(evm_programs, tmp_path, committed, sources):
    compile_contracts(tmp_path, sources)
    made = {p.name: p.read_bytes() for p in tmp_path.glob("*.json")}
    kept = {p.name: p.read_bytes() for p in committed.glob("*.json")}
    assert made.keys() == kept.keys()
    for name, raw in made.items():
        assert raw == kept[name], name


@pytest.mark.slow
def test_a_contract_with_a_mistake_is_told(evm_programs, tmp_path):
    (tmp_path / "Bad.sol").write_text("pragma solidity 0.8.37; contract Bad { int x = y; }")
    with pytest.raises(BridgeError, match="solc: "):
        compile_contracts(tmp_path / "out", tmp_path)


def test_programs_are_pinned_without_addresses():
    lock = (HERE / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert '"version": "1.7.1"' in lock
    assert PROGRAMS.place().name.startswith("evm-programs-")


def test_the_node_is_a_program_of_its_own(evm_programs):
    assert anvil().is_file()
    assert anvil().stat().st_mode & 0o100
