"""The whole job: read a run, replay it on a chain, reconcile, write the tables."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from chain_bridge.answers import check_timeout
from chain_bridge.binding import Token, make_script
from chain_bridge.client import Chain
from chain_bridge.custody import OWNED
from chain_bridge.devchain import server
from chain_bridge.errors import ChainSilentError, PlanError, SafetyError
from chain_bridge.folder import check_folder, files_of, write_folder
from chain_bridge.keys import OPERATOR, Signer, operator_key, signer
from chain_bridge.landed import Landed
from chain_bridge.plan import Plan, make_plan
from chain_bridge.reconcile import Reconciliation, reconcile
from chain_bridge.recording import read
from chain_bridge.replay import Replayed, replay
from chain_bridge.safety import Identity, check_may_sign, devices_may_sign, identify
from chain_bridge.script import Custody, Script, signer_name
from fedstake.folders import Opened, chosen_folder

OnBatch = Callable[[int, int], None]
"""Called with batches done and all batches."""

_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
FILES = files_of("reconciliation", "fees", "rounds", "batches", "participants")
RESTARTS = 3  # of a dev chain of our own that died


@dataclass(frozen=True)
class Options:
    """How to replay.

    `token`, `asset`, `scale`: see `make_script`; `batch`: calls in a batch at most; `genesis`: what
    the hash of block 0 must be; `timeout_s`: for each answer of the chain; `custody`: "auto" lets
    devices sign for themselves where the chain allows it, else the operator signs everything.
    """

    endpoint: str | None = None
    token: Token = "auto"
    asset: int = 1
    scale: int = 1
    batch: int | None = None
    allow_endpoint: bool = False
    genesis: str | None = None
    key_file: Path | None = None
    timeout_s: float = 60.0
    custody: Literal["auto", "operator", "devices"] = "auto"

    def __post_init__(self) -> None:
        asset, scale, batch, genesis = self.asset, self.scale, self.batch, self.genesis
        if self.token not in get_args(Token):
            raise PlanError(f"--token {self.token}: must be asset, native or auto")
        if self.custody not in ("auto", *get_args(Custody)):
            raise PlanError(f"--custody {self.custody}: must be operator, devices or auto")
        if type(asset) is not int or not 0 <= asset < 2**32:
            raise PlanError(f"--asset {asset}: must be a number below 2**32")
        if type(scale) is not int or scale < 1:
            raise PlanError(f"--scale {scale}: must be an integer of 1 or more")
        if batch is not None and (type(batch) is not int or batch < 1):
            raise PlanError(f"--batch {batch}: must be 1 or more")
        if genesis is not None and not _HASH.fullmatch(genesis):
            raise PlanError(f"--genesis {genesis}: must be 0x and 64 hexadecimal digits")
        check_timeout(self.timeout_s)


@dataclass
class Witnessed:
    """The outcome of a replay.

    `restarts`: how often the bundled chain had to be started again; `folder`: where the tables are.
    """

    script: Script
    replayed: Replayed
    books: Reconciliation
    chain: Identity
    restarts: int = 0
    folder: Path | None = field(default=None)


def dry_run(run: str | Path | Opened, options: Options | None = None) -> Script:
    """Return the script of a run on its chain, with the chain's weights and fees; sends nothing.

    `run`: its folder, or an opened run.
    """
    options = options or Options()
    plan = make_plan(read(run))
    with _chain(options) as (chain, key, _):
        return _script(chain, plan, key, options)


def replay_run(
    run: str | Path | Opened,
    options: Options | None = None,
    *,
    out: str | Path | None = None,
    on_batch: OnBatch | None = None,
) -> Witnessed:
    """Replay a recorded run and reconcile it; tables go to `out` [RUN/replay].

    `run`: its folder, or an opened run.

    Without an endpoint a fresh dev chain is started, and started again should it die. Raises
    `PlanError` and `SafetyError` before anything is signed, `ReplayError` when the chain refuses a
    batch, `ChainSilentError` when it stops answering.
    """
    options = options or Options()
    plan = make_plan(read(run))
    folder = chosen_folder(out) or plan.run.path / "replay"
    check_folder(folder, FILES)
    for restarts in range(RESTARTS + 1):
        died = False
        try:
            with _chain(options) as (chain, key, own):
                try:
                    done = _witness(chain, plan, key, options, on_batch)
                except ChainSilentError:
                    # Asked here, because leaving the block ends the process in any case.
                    died = own is not None and own.died()
                    raise
        except ChainSilentError:
            if not died or restarts == RESTARTS:
                raise
            continue
        done.restarts = restarts
        done.folder = folder
        write(done, folder)
        return done
    raise AssertionError


def _witness(
    chain: Chain, plan: Plan, key: Signer, options: Options, on_batch: OnBatch | None
) -> Witnessed:
    script = _script(chain, plan, key, options)
    count = len(script.batches)

    def tell(landed: Landed) -> None:
        if on_batch:
            on_batch(landed.batch + 1, count)

    replayed = replay(chain, script, key, on_batch=tell)
    return Witnessed(script, replayed, reconcile(chain, script), identify(chain))


def _script(chain: Chain, plan: Plan, key: Signer, options: Options) -> Script:
    return make_script(
        chain,
        plan,
        key,
        token=options.token,
        asset=options.asset,
        scale=options.scale,
        most=options.batch,
        custody=_custody(chain, options),
    )


def _custody(chain: Chain, options: Options) -> Custody:
    """Return who signs; `SafetyError` or `PlanError` where devices shall and cannot."""
    if options.custody == "operator":
        return "operator"
    danger = devices_may_sign(identify(chain))
    missing = next((call for call in OWNED if not chain.runtime.has(call)), None)
    obstacle = ""
    if options.token == "native":
        obstacle = "in the native token a device's fees could not be told from the run's money"
    elif missing:
        obstacle = f"{chain.url} ({chain.runtime.spec_name}) has no {missing}"
    if options.custody == "auto":
        return "operator" if danger or obstacle else "devices"
    if danger:
        raise SafetyError(f"--custody devices: {danger}")
    if obstacle:
        raise PlanError(f"--custody devices: {obstacle}")
    return "devices"


@contextlib.contextmanager
def _chain(options: Options) -> Iterator[tuple[Chain, Signer, server.DevChain | None]]:
    """Open the chain, checked, with the key that may sign on it.

    The third value is the chain's process where the bundled chain was started for this replay.
    """
    if options.endpoint is None and options.key_file:
        raise PlanError(f"--key-file {options.key_file}: the bundled dev chain has its own key")
    own = server.start() if options.endpoint is None else None
    try:
        with Chain(own.url if own else str(options.endpoint), options.timeout_s) as chain:
            bundled = own is not None or server.is_bundled(chain.url)
            given = None if bundled else operator_key(options.key_file)
            if given is None and not bundled:
                raise SafetyError(
                    f"{chain.url} is not the bundled dev chain: give its operator's key "
                    "(FEDSTAKE_KEY or --key-file)"
                )
            key = signer(OPERATOR) if bundled else given
            assert key is not None
            check_may_sign(
                identify(chain),
                key,
                bundled=bundled,
                allow_endpoint=options.allow_endpoint,
                genesis=options.genesis,
            )
            yield chain, key, own
    finally:
        if own:
            own.stop()


# --- what is written ------------------------------------------------------------------------------


def batches(done: Witnessed) -> pd.DataFrame:
    """Return one row per batch: where it is, how many calls it holds."""
    rows = [
        (
            *(b.index, signer_name(b.signer), b.round, b.stop - b.start),
            *(at.number, at.block, at.extrinsic, b.digest.hex()),
        )
        for b, at in zip(done.script.batches, done.books.landed, strict=True)
    ]
    columns = ["batch", "signer", "round", "calls", "block", "block_hash", "extrinsic", "digest"]
    return pd.DataFrame(rows, columns=columns)


def summary(done: Witnessed) -> dict[str, Any]:
    """Return the content of `verdict.json`: the verdict and what it rests on."""
    script, books = done.script, done.books
    differences = [r._asdict() | {"difference": r.difference} for r in books.differences[:100]]
    return {
        "verdict": books.verdict,
        "reconciled": books.agrees,
        "run_id": script.plan.run.run_id,
        "chain": {
            "name": done.chain.chain,
            "spec": done.chain.spec_name,
            "spec_version": script.runtime.spec_version,
            "type": done.chain.kind,
            "genesis": done.chain.genesis,
            "head": books.head[0],
            "head_hash": books.head[1],
        },
        "money": {
            "held_as": script.money.unit,
            "scale": script.money.scale,
            "run_asset": script.plan.asset,
        },
        "custody": script.custody,
        "batches": len(script.batches),
        "calls": len(script.actions),
        "comparisons": len(books.rows),
        "differences": differences,
        "fees": books.fees.total,
        "skipped": books.skipped,
        "found": done.replayed.found,
        "repaired_rollbacks": done.replayed.repaired,
        "chain_restarts": done.restarts,
        "wall_s": done.replayed.wall_s,
    }


def write(done: Witnessed, folder: Path) -> None:
    """Write `verdict.json` and the tables as Parquet: all files or none; of a link its target."""
    books = done.books
    frames = {
        "reconciliation": books.frame(),
        "fees": books.fees.frame(),
        "rounds": books.fees.by_round(),
        "batches": batches(done),
        "participants": books.participants,
    }
    write_folder(folder, FILES, frames, summary(done))
