"""The whole job on an EVM: read a run, play it on its contract, reconcile, write the tables."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from chain_bridge.answers import check_timeout
from chain_bridge.errors import PlanError, SafetyError
from chain_bridge.evm import node
from chain_bridge.evm.accounts import DEV_CHAINS
from chain_bridge.evm.adapters import Adapter, adapter_of, tables
from chain_bridge.evm.books import Auditor, Books, unplayed
from chain_bridge.evm.rpc import Rpc
from chain_bridge.evm.stage import Head, Stage
from chain_bridge.folder import check_folder, files_of, write_folder
from chain_bridge.recording import Recording, read
from fedstake.errors import FedstakeError
from fedstake.folders import Opened, chosen_folder

OnRound = Callable[[int, int], None]
"""Called with rounds done and all rounds."""
FILES = files_of("reconciliation", "gas", "rounds", "calls")


FITTING = (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError)
"""What tables and settings raise that do not fit together."""


@dataclass(frozen=True)
class EvmOptions:
    """How to play; `endpoint`: a node of the user's own, which `allow_endpoint` must allow."""

    endpoint: str | None = None
    allow_endpoint: bool = False
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        check_timeout(self.timeout_s)


@dataclass
class Played:
    """The outcome: `version` of the node, `head`: the last block and its state."""

    run: Recording
    contract: str
    books: Books
    version: str
    chain_id: int
    head: Head
    wall_s: float
    folder: Path | None = field(default=None)


def play_run(
    run: str | Path | Opened,
    options: EvmOptions | None = None,
    *,
    out: str | Path | None = None,
    on_round: OnRound | None = None,
) -> Played:
    """Play a recorded run on an EVM and reconcile it; tables go to `out` [RUN/replay-evm].

    `run`: its folder, or an opened run.

    Without an endpoint a fresh chain is started for this replay alone: a replay that was killed
    begins from nothing, so that nothing is paid twice. Raises `PlanError` and `SafetyError` before
    anything is signed.
    """
    recording = read(run, tables())
    folder = chosen_folder(out) or recording.path / "replay-evm"
    check_folder(folder, FILES)
    done = rehearse(recording, options, on_round=on_round)
    done.folder = folder
    frames = {
        "reconciliation": done.books.frame(),
        "gas": done.books.gas(),
        "rounds": done.books.by_round(recording),
        "calls": done.books.calls(),
    }
    write_folder(folder, FILES, frames, summary(done))
    return done


def rehearse(
    run: Recording, options: EvmOptions | None = None, *, on_round: OnRound | None = None
) -> Played:
    """Play a recorded run and reconcile it; writes nothing."""
    with _fitting(run):
        adapter = adapter_of(run)
    start = time.monotonic()
    with _chain(options or EvmOptions()) as (rpc, chain_id):
        stage = Stage(rpc, chain_id, run.identity)
        auditor = Auditor(adapter, stage)
        stage.on_calls = auditor.take
        with _fitting(run):
            _play(adapter, stage, auditor, on_round)
        books = auditor.books
        books.created = {p.contract.name: p.gas for p in stage.placed.values()}
        wall_s = time.monotonic() - start
        version = rpc("web3_clientVersion")
        head = stage.head()
    return Played(run, adapter.contract, books, version, chain_id, head, wall_s)


def _play(adapter: Adapter, stage: Stage, auditor: Auditor, on_round: OnRound | None) -> None:
    """Play round by round; a round is compared before the next one begins, the last one whole."""
    journal = adapter.run.journal
    count = int(journal["round"].max()) if len(journal) else 0
    closed: list[int] = []
    for r in adapter.play(stage):
        # The state of a round is read before the next one changes it.
        auditor.close(r, last=r >= count)
        closed.append(r)
        if on_round:
            on_round(min(r, count), max(1, count))
    auditor.books.rows += unplayed(adapter.run, closed)


@contextlib.contextmanager
def _fitting(run: Recording) -> Iterator[None]:
    """Turn errors of tables that do not fit together into a `PlanError`: they come from a file."""
    try:
        yield
    except FedstakeError:
        raise
    except FITTING as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise PlanError(f"{run.path}: its tables do not fit together ({reason})") from error


@contextlib.contextmanager
def _chain(options: EvmOptions) -> Iterator[tuple[Rpc, int]]:
    """Open a fresh chain of this replay, or the user's node where its keys may sign."""
    if options.endpoint is None:
        with node.start() as own, Rpc(own.url, options.timeout_s) as rpc:
            yield rpc, node.CHAIN_ID
        return
    with Rpc(options.endpoint, options.timeout_s) as rpc:
        chain_id = int(rpc("eth_chainId"), 16)
        place = f"{options.endpoint} (chain id {chain_id})"
        if chain_id not in DEV_CHAINS:
            known = ", ".join(map(str, sorted(DEV_CHAINS)))
            raise SafetyError(
                f"{place} is no development chain: keys of the public seed sign only for the "
                f"chain ids {known}"
            )
        if not options.allow_endpoint:
            raise SafetyError(
                f"{place} is not the bundled chain: --allow-endpoint lets the accounts of the run "
                "sign there, if that is your development chain"
            )
        if int(rpc("eth_blockNumber"), 16) != 0:
            raise SafetyError(f"{place} has blocks already: a replay needs a fresh chain")
        yield rpc, chain_id


def summary(done: Played) -> dict[str, Any]:
    """Return the content of `verdict.json`: the verdict and what it rests on."""
    books = done.books
    differences = [r._asdict() | {"difference": r.difference} for r in books.differences[:100]]
    table = books.calls()
    return {
        "verdict": books.verdict,
        "reconciled": books.agrees,
        "run_id": done.run.run_id,
        "chain": {
            "node": done.version,
            "chain_id": done.chain_id,
            "hardfork": node.HARDFORK,
            "contract": done.contract,
            "head": done.head.number,
            "state_root": done.head.state_root,
        },
        "calls": len(table),
        "refused": int((table["outcome"] != "done").sum()),
        "gas": int(table["gas"].sum()),
        "gas_of_creation": books.created,
        "comparisons": len(books.rows),
        "differences": differences,
        "wall_s": done.wall_s,
    }


def gas_by_call(books: Books) -> pd.DataFrame:
    """Return one row per function: calls that were executed, least, mean and greatest gas."""
    table = books.calls()
    done = table[table["outcome"] == "done"]
    cells = done.groupby("call", as_index=False)
    return cells.agg(
        calls=("gas", "size"), least=("gas", "min"), mean=("gas", "mean"), most=("gas", "max")
    )
