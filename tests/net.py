"""The net under every change: scenarios for each corner, and digests of all their tables.

`python -m tests.net` writes the digests of the tables anew, `python -m tests.net --raw` prints
digests of the exact values, to be compared between two versions on one machine.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from experiments import load_scenario, run
from tests.conftest import TINY, TINY_SERVER

FOLDER = Path(__file__).parent / "golden"
OPEN = {"validation.params": {"threshold": 1.0}}
SLOW = {"network.link_bytes_per_s": 2_000.0}
LOG = {"record.tape": True, "record.epoch_accuracy": True, "record.local_accuracy": True}
COMMITTEE = {
    "rounds": 4,
    "devices": 8,
    "data.dataset": "digits",
    "model.name": "softmax",
    "training.epochs": 1,
    "coordinator.params": {"size": 3, "error": 0.05},
}
JOURNALS = {
    "vbfl-pos": ("vbfl", {**TINY, **OPEN}),
    "vbfl-pow-forks": (
        "vbfl",
        {**TINY, **OPEN, **SLOW, "consensus.kind": "pow", "consensus.difficulty": 1, "rounds": 4},
    ),
    "vbfl-published": ("vbfl-published", {**TINY, **OPEN, "rounds": 4}),
    "vbfl-churn": (
        "vbfl",
        {**TINY, **OPEN, "availability.kind": "per-round", "availability.online": 0.7, "rounds": 5},
    ),
    "vbfl-committee": (
        "vbfl",
        {**TINY, **OPEN, "validation.committee": 1, "payout.initial_balance": 50},
    ),
    "vbfl-lying-validators": (
        "vbfl",
        {
            **TINY,
            **OPEN,
            "adversaries.0.count": 5,
            "adversaries.0.worker": "honest",
            "adversaries.0.validator": "flip",
        },
    ),
    "vbfl-mute-miners": (
        "vbfl",
        {
            **TINY,
            **OPEN,
            "adversaries.0.count": 3,
            "adversaries.0.worker": "honest",
            "adversaries.0.miner": "withhold",
            "rounds": 5,
        },
    ),
    "fedavg-paid": ("fedavg", {**TINY_SERVER, "payout.mechanism": "vbfl"}),
    "coordinator-slashing": (
        "coordinator",
        {**COMMITTEE, "adversaries": [{"name": "idlers", "count": 3, "worker": "free-ride-zero"}]},
    ),
    "coordinator-missed-reveals": (
        "coordinator",
        {
            **COMMITTEE,
            "coordinator.submission_s": 900.0,
            "adversaries": [
                {"name": "silent", "count": 2, "worker": "no-reveal"},
                {"name": "switchers", "count": 1, "worker": "switch-reveal"},
            ],
        },
    ),
    "coordinator-disputes": (
        "coordinator",
        {
            **COMMITTEE,
            "rounds": 6,
            "coordinator.watch": 0.5,
            "adversaries": [{"name": "tamperers", "count": 4, "miner": "tamper"}],
        },
    ),
}
"""Whose journals are kept entry by entry, under `tests/golden/NAME.json`."""

PRESETS = {
    "preset-vbfl": ("vbfl", TINY),
    "preset-vbfl-published": ("vbfl-published", TINY),
    "preset-fedavg": ("fedavg", TINY_SERVER),
    "preset-digits-quick": ("digits-quick", {}),
    "preset-coordinator": ("coordinator", {}),
}
CORNERS = {
    "vbfl-tape": ("vbfl", {**TINY, **LOG, "payout.mechanism": "shapley", "adversaries.0.count": 2}),
    "vbfl-off-chain": (
        "vbfl",
        {
            **TINY,
            "storage.kind": "off-chain",
            "storage.availability": 0.8,
            "storage.cost_per_mb": 3.0,
            "costs.compute_per_s": 0.5,
        },
    ),
    "vbfl-versions": (
        "vbfl",
        {
            **TINY,
            "versions.record": True,
            "versions.rollback_drop": 0.05,
            "adversaries.0.count": 3,
            "rounds": 6,
        },
    ),
    "vbfl-chain-only": (
        "vbfl",
        {
            **TINY,
            **OPEN,
            **SLOW,
            "chain.resync": "chain-only",
            "consensus.kind": "pow",
            "rounds": 4,
        },
    ),
    "vbfl-alternating": (
        "vbfl",
        {
            **TINY,
            **OPEN,
            "availability.kind": "alternating",
            "availability.mean_online_s": 40.0,
            "availability.mean_offline_s": 20.0,
            "deadlines.validator_s": 30.0,
            "deadlines.miner_s": 60.0,
            "deadlines.block_s": 90.0,
            "rounds": 6,
        },
    ),
    "vbfl-noise": ("vbfl", {**TINY, "privacy.clip": 1.0, "privacy.noise": 1.0}),
    "vbfl-reports": (
        "vbfl",
        {
            **TINY,
            "payout.mechanism": "cosine",
            "payout.params": {"to": "committee"},
            "network.topology": "ring",
        },
    ),
    "vbfl-parts": (
        "vbfl",
        {
            **TINY,
            "devices": 10,
            "payout.initial_balance": 3_000_000,
            "payout.parts": [
                {"part": "slashing", "params": {"minimum": 500, "fraction": 0.5}},
                {"part": "reputation"},
                {"part": "fees"},
            ],
            "adversaries": [
                {
                    "name": "washers",
                    "count": 3,
                    "worker": "sign-flip",
                    "spares": 1,
                    "presence": 0.8,
                },
                {"name": "bribers", "count": 2, "worker": "gaussian-noise", "bribe": 40},
                {"name": "venal", "count": 1, "validator": "bribable"},
            ],
            "validation.params": {"threshold": 0.02},
            "rounds": 8,
        },
    ),
    "vbfl-learners": (
        "vbfl",
        {
            **TINY,
            "payout.initial_balance": 100,
            "adversaries": [
                {
                    "name": "rational",
                    "count": 4,
                    "strategies": [
                        {"worker": "honest"},
                        {"worker": "free-ride-zero"},
                        {"worker": "overstate"},
                    ],
                    "damage_benefit": 5.0,
                }
            ],
            "rounds": 6,
        },
    ),
    "vbfl-sybils": (
        "vbfl",
        {
            **TINY,
            "payout.mechanism": "equal-share",
            "payout.params": {"stake": 50},
            "payout.initial_balance": 400,
            "adversaries": [{"name": "sybils", "count": 3, "identities": "split"}],
        },
    ),
    "fedavg-late": (
        "fedavg",
        {
            **TINY_SERVER,
            "payout.mechanism": "vbfl",
            "deadlines.validator_s": 30.0,
            "network.compute": "lognormal",
            "availability.kind": "per-round",
            "availability.online": 0.6,
            "adversaries.0.count": 2,
            "adversaries.0.worker": "duplicate",
            **LOG,
        },
    ),
    "fedavg-versions": (
        "fedavg",
        {
            **TINY_SERVER,
            "data.validation_fraction": 0.25,
            "versions.record": True,
            "versions.rollback_drop": 0.05,
            "adversaries.0.count": 4,
            "adversaries.0.worker": "sign-flip",
            "rounds": 6,
        },
    ),
    "coordinator-tape": (
        "coordinator",
        {**COMMITTEE, **LOG, "payout.parts": [{"part": "identity-cost"}]},
    ),
    "coordinator-proof": (
        "coordinator",
        {
            **COMMITTEE,
            "coordinator.verifier": "proof",
            "coordinator.params": {},
            "coordinator.commit_reveal": False,
            "coordinator.aggregator": "organisation",
            "privacy.secure_aggregation": True,
            "adversaries": [{"name": "forgers", "count": 2, "worker": "forge"}],
        },
    ),
    "coordinator-fixed": (
        "coordinator",
        {
            **COMMITTEE,
            "coordinator.aggregator": "fixed",
            "coordinator.aggregator_device": 2,
            "availability.kind": "per-round",
            "availability.online": 0.7,
            "costs.compute_per_s": 1.5,
            "rounds": 6,
        },
    ),
}
TEXTS = {
    "data.params": {"train": 300, "test": 60, "features": 200, "words": 20.0},
    "data.initial": 40,
    "rounds": 4,
}
MARKETS = {
    "market-digits": ("sum-digits", {"data.n": 300}),
    "market-attack": ("sum-attack", {"data.n": 400, "record.trace": True}),
    "market-stages": ("sum-prediction-market", {"data.params": {"train": 110, "test": 60}}),
    "market-published": ("sum-imdb", {**TEXTS, "market.model": "perceptron"}),
    "market-points": (
        "sum-imdb",
        {
            **TEXTS,
            "market.model": "naive-bayes",
            "market.rule": "points",
            "market.as_published": False,
        },
    ),
}
TABLES = {**JOURNALS, **PRESETS, **CORNERS, **MARKETS}
"""Whose tables are kept as digests, column by column, in `tests/golden/tables.json`."""

HASHES = {
    "head", "hash", "previous", "commitment", "opening", "version", "parent", "weights", "block",
    "restores",
}  # fmt: skip
"""Text that depends on the last bit of a model: only which ones are equal is compared."""


NEVER = frozenset({"None", "0", "0.0", "False"})
"""All that a column holds that does not apply to a protocol: such a column may go."""


def recorded(name: str) -> dict[str, pa.Table]:
    """The tables that a scenario of the net writes, read back."""
    preset, changes = TABLES[name]
    with tempfile.TemporaryDirectory() as folder:
        result = run(load_scenario(preset, changes), Path(folder) / "run")
        return {file.stem: pq.read_table(file) for file in sorted(result.path.glob("*.parquet"))}


def digests(tables: dict[str, pa.Table]) -> dict[str, dict[str, str]]:
    """Return by table and column a constant as it is, else a digest of all values.

    The digest is 16 digits of SHA-256.
    """
    return {
        name: {
            column: _digest(_settled(column, table[column]))
            for column in sorted(table.column_names)
        }
        for name, table in tables.items()
    }


def raw(tables: dict[str, pa.Table]) -> dict[str, dict[str, str]]:
    """Return the same as `digests`, of the exact values."""
    return {
        name: {column: _digest(table[column].to_pylist()) for column in sorted(table.column_names)}
        for name, table in tables.items()
    }


def _digest(values: list[object]) -> str:
    distinct = {repr(v) for v in values}
    if distinct <= NEVER:
        return f"{len(values)} x nothing"
    if len(distinct) < 2:
        return f"{len(values)} x {''.join(distinct)[:80]}"
    return hashlib.sha256("\n".join(map(repr, values)).encode()).hexdigest()[:16]


def _settled(column: str, values: pa.ChunkedArray) -> list[object]:
    """Values that do not depend on the last bits of a processor's sums."""
    plain = values.to_pylist()
    if pa.types.is_large_binary(values.type):
        return [None if v is None else len(v) for v in plain]
    if pa.types.is_floating(values.type):
        return [None if v is None else float(f"{v:.4g}") for v in plain]
    if column in HASHES and not pa.types.is_integer(values.type):
        first: dict[str, int] = {}
        return [None if v is None else first.setdefault(v, len(first)) for v in plain]
    return plain


if __name__ == "__main__":
    if "--raw" in sys.argv:
        sys.stdout.write(
            json.dumps({name: raw(recorded(name)) for name in TABLES}, indent=1) + "\n"
        )
    else:
        found = {name: digests(recorded(name)) for name in TABLES}
        (FOLDER / "tables.json").write_text(json.dumps(found, indent=1) + "\n")
