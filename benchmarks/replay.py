"""Payouts per second on the bundled chains: the bridge's batches, the library's path, an EVM.

    python benchmarks/replay.py [--payouts 20000] [--payees 300] [--plain 40]
    python benchmarks/replay.py --chain evm [--calls 20000]
    python benchmarks/replay.py --custody [--devices 20] [--rounds 20] [--each 25]

On Substrate every payout is an `Assets.mint` to a device, like a reward that a payout rule issues.
The same calls are sent in three ways, on the same machine in one run:

- the bridge: plan, probing, replay, reconciliation;
- the library's batches, of the bridge's size: compose, sign, submit and wait with
  substrate-interface;
- the library's plain path: one signed transaction per payout, waiting for its inclusion, measured
  on `--plain` of them.

On an EVM every call is a transaction that a device signs: rounds of a stake-weighted pot, from
which everybody withdraws; played, audited and reconciled like a recorded run.

With `--custody`, what it costs that devices sign for themselves: in every round each device pays so
many stakes into an escrow, and gets as many payments out of it. The same run is replayed in both
custodies, one after the other on fresh chains, in turns; the ratio is of the least times.

Ends with one JSON object; memory is the peak resident set.
"""

from __future__ import annotations

import argparse
import json
import resource
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
from substrateinterface import Keypair, KeypairType, SubstrateInterface

from chain_bridge.binding import make_script
from chain_bridge.client import Chain
from chain_bridge.devchain import server
from chain_bridge.keys import OPERATOR, signer
from chain_bridge.plan import make_plan
from chain_bridge.reconcile import reconcile
from chain_bridge.recording import Recording
from chain_bridge.replay import replay
from chain_bridge.script import Custody


def recording(payouts: int, payees: int) -> Recording:
    """Return a run of one round that pays so many times."""
    entries = [
        (1, "issuance", f"device:{i % payees}", "STAKE", 1 + i % 997, "reward.worker")
        for i in range(payouts)
    ]
    journal = pd.DataFrame(
        entries, columns=["round", "debit", "credit", "asset", "amount", "reason"]
    )
    return Recording(Path("benchmark"), "benchmark", {}, journal)


def staking(devices: int, rounds: int, each: int) -> Recording:
    """Return a run in which devices pay stakes and get as much back, every round."""
    names = [f"device:{d}" for d in range(devices)]
    entries = [(0, "issuance", name, "STAKE", 1000 * each, "initial") for name in names]
    for r in range(1, rounds + 1):
        paid = [(name, 1 + i % 997) for name in names for i in range(each)]
        entries += [(r, name, "escrow:stakes", "STAKE", n, "stake.join") for name, n in paid]
        entries += [(r, "escrow:stakes", name, "STAKE", n, "stake.back") for name, n in paid]
    columns = ["round", "debit", "credit", "asset", "amount", "reason"]
    return Recording(Path("benchmark"), "custody", {}, pd.DataFrame(entries, columns=columns))


class Peak:
    """Peak resident memory of a process, sampled."""

    def __init__(self, pid: int) -> None:
        self.mb, self._on = 0.0, True
        self._process = psutil.Process(pid)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while self._on:
            self.mb = max(self.mb, self._process.memory_info().rss / 1e6)
            time.sleep(0.25)

    def end(self) -> float:
        self._on = False
        self._thread.join()
        return self.mb


def bridge(run: Recording, custody: Custody = "operator") -> dict[str, float]:
    """Measure the bridge on a fresh chain."""
    key = signer(OPERATOR)
    with server.start() as own, Chain(own.url) as chain:
        chain.runtime  # noqa: B018 - metadata is no part of a payout
        peak = Peak(own.pid)
        start = time.monotonic()
        script = make_script(chain, make_plan(run), key, custody=custody)
        planned = time.monotonic()
        done = replay(
            chain,
            script,
            key,
            on_batch=lambda b: print(f"  batch {b.batch + 1}/{len(script.batches)}", end="\r"),
        )
        sent = time.monotonic()
        books = reconcile(chain, script)
        end = time.monotonic()
        assert books.agrees, books.verdict
        assert done.sent == len(script.batches)
        return {
            "calls": len(script.actions),
            "blocks": len({x.block for x in done.landed}),
            "fees": books.fees.total,
            "calls_per_s": len(script.actions) / (end - start),
            "batch": max(b.stop - b.start for b in script.batches),
            "batches": len(script.batches),
            "plan_s": planned - start,
            "replay_s": sent - planned,
            "reconcile_s": end - sent,
            "payouts_per_s": len(run.journal) / (end - start),
            "replay_payouts_per_s": len(run.journal) / (sent - planned),
            "chain_peak_mb": peak.end(),
        }


def custodies(run: Recording, repeats: int) -> dict[str, float]:
    """Measure both custodies in turns; of several measurements the fastest is kept."""
    found: dict[str, float] = {}
    kinds: tuple[Custody, ...] = ("operator", "devices")
    best: dict[str, dict[str, float]] = {}
    for _ in range(repeats):
        for custody in kinds:
            measured = bridge(run, custody)
            print(f"{custody}: {measured['replay_s']:.1f} s", flush=True)
            kept = best.get(custody, measured)
            best[custody] = min(kept, measured, key=lambda m: m["replay_s"])
    for custody in kinds:
        found |= {f"{custody}_{name}": value for name, value in best[custody].items()}
    for name in ("replay_s", "reconcile_s", "fees", "batches", "blocks"):
        found[f"ratio_{name}"] = best["devices"][name] / best["operator"][name]
    return found


def plain(run: Recording, count: int, batch: int) -> tuple[float, float]:
    """Return the library's payouts per second, one by one and in batches of a size."""
    key = signer(OPERATOR)
    pair = Keypair.create_from_seed(
        "0x" + bytes(key._secret).hex(), crypto_type=KeypairType.ED25519
    )
    with (
        server.start() as own,
        SubstrateInterface(url=own.url, ws_options={"timeout": 60}) as library,
    ):
        library.rpc_request("dev_setBlockBuildMode", ["Instant"])

        def mint(i: int) -> object:
            arguments = {
                "id": 1,
                "beneficiary": "0x" + (i % 300).to_bytes(32, "big").hex(),
                "amount": 1 + i % 997,
            }
            return library.compose_call("Assets", "mint", arguments)

        def send(call: object) -> None:
            extrinsic = library.create_signed_extrinsic(call, pair)
            receipt = library.submit_extrinsic(extrinsic, wait_for_inclusion=True)
            assert receipt.is_success, receipt.error_message

        start = time.monotonic()
        for i in range(count):
            send(mint(i))
        one = count / (time.monotonic() - start)
        many = min(len(run.journal), 2 * batch)
        start = time.monotonic()
        for at in range(0, many, batch):
            calls = [mint(i) for i in range(at, min(at + batch, many))]
            send(library.compose_call("Utility", "batch_all", {"calls": calls}))
        return one, many / (time.monotonic() - start)


EACH = 1_000
"""Base units that a device holds at the start."""
POT = 1_000_003
DEVICES = 200


def pots(calls: int) -> Recording:
    """Return a run of a stake-weighted pot in which devices withdraw so many times in all."""
    devices = [f"device:{d}" for d in range(DEVICES)]
    held = dict.fromkeys(devices, EACH)
    entries = [(0, "issuance", d, "STAKE", EACH, "initial") for d in devices]
    participants = []
    rounds = calls // DEVICES
    for r in range(1, rounds + 1):
        whole = sum(held.values()) + DEVICES
        shares = {d: POT * (amount + 1) // whole for d, amount in held.items()}
        for number, (d, share) in enumerate(shares.items()):
            held[d] += share
            entries.append((r, "issuance", d, "STAKE", share, "reward.worker"))
            participants.append((r, number, "worker", True, r, held[d]))
    columns = ["round", "debit", "credit", "asset", "amount", "reason"]
    seats = ["round", "device", "role", "accepted", "height", "balance"]
    tables = {
        "participants": pd.DataFrame(participants, columns=seats),
        "rounds": pd.DataFrame({"round": range(1, rounds + 1), "start_s": 0.0}),
    }
    payout = {"mechanism": "stake-weighted", "asset": "STAKE", "params": {"pot": POT}}
    settings = {"protocol": "fedavg", "payout": payout}
    journal = pd.DataFrame(entries, columns=columns)
    return Recording(Path("benchmark"), "benchmark", settings, journal, tables=tables)


def evm(calls: int) -> dict[str, float]:
    """Measure the EVM witness on a fresh chain."""
    from chain_bridge.evm import node
    from chain_bridge.evm.witness import EvmOptions, rehearse

    run = pots(calls)
    with node.start() as own:
        peak = Peak(own.pid)
        process = psutil.Process(own.pid)
        start_cpu = time.process_time()
        done = rehearse(run, EvmOptions(own.url, allow_endpoint=True))
        client_cpu = time.process_time() - start_cpu
        times = process.cpu_times()
        assert done.books.agrees, done.books.verdict
        sent = len(done.books.sent)
        return {
            "calls": sent,
            "wall_s": done.wall_s,
            "calls_per_s": sent / done.wall_s,
            "client_cpu_ms_per_call": 1e3 * client_cpu / sent,
            "node_cpu_ms_per_call": 1e3 * (times.user + times.system) / sent,
            "node_peak_mb": peak.end(),
            "client_peak_mb": client_peak_mb(),
            "gas_per_call": sum(s.gas for s in done.books.sent) / sent,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--payouts", type=int, default=20_000)
    parser.add_argument("--payees", type=int, default=300)
    parser.add_argument(
        "--plain", type=int, default=40, help="payouts sent one by one; 0 leaves the library out"
    )
    parser.add_argument("--chain", choices=("substrate", "evm"), default="substrate")
    parser.add_argument("--calls", type=int, default=20_000, help="withdrawals on the EVM")
    parser.add_argument("--custody", action="store_true", help="compare the custodies instead")
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--each", type=int, default=25, help="stakes of a device in a round")
    parser.add_argument("--repeats", type=int, default=1, help="of the comparison of custodies")
    asked = parser.parse_args()
    if asked.chain == "evm":
        finish(evm(asked.calls))
        return
    if asked.custody:
        run = staking(asked.devices, asked.rounds, asked.each)
        found = {"devices": asked.devices, "rounds": asked.rounds, "each": asked.each}
        found |= custodies(run, asked.repeats)
        finish(found | {"client_peak_mb": client_peak_mb()})
        return
    run = recording(asked.payouts, asked.payees)
    found = {"payouts": asked.payouts, "payees": asked.payees} | bridge(run)
    found["client_peak_mb"] = client_peak_mb()
    if asked.plain:
        one, many = plain(run, asked.plain, int(found["batch"]))
        found |= {"library_plain_per_s": one, "library_batches_per_s": many}
        found |= {
            "ratio_to_plain": found["payouts_per_s"] / one,
            "ratio_to_library_batches": found["payouts_per_s"] / many,
        }
    finish(found)


def client_peak_mb() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def finish(found: dict[str, float]) -> None:
    """Print the measurements as one JSON object."""
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}))


if __name__ == "__main__":
    main()
