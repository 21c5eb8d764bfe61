"""What a rule did in the suite, cell by cell: `row.json`, from which its row follows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from experiments.bench.suite import Suite
from experiments.loader import ScenarioError
from experiments.rundir import write_file
from experiments.sweeps.design import checked
from fedstake.errors import InputError
from fedstake.outside import UnreadableError, seal, shown, unseal
from sim.scenario import SCHEMA_VERSION

ROW = "row.json"
CALLED = r"[ -~]{1,80}"
"""What a rule in a suite can be called, with the names of its parts."""
MOST_BYTES = 4_000_000
"""Of a row's file."""

Text = Annotated[str, Field(max_length=200, pattern=r"^[ -~]*$")]
Values = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(max_length=1_000)
]
Known = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)] | None, ...], Field(max_length=1_000)
]
"""Values of cells, none where a measure is not defined."""
Number = Annotated[int, Field(ge=0, le=1_000_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Honest(_Part):
    """Measures of the runs in which nobody deviates, one value for each cell.

    Args:
        accuracy: of the last global model on the test set.
        income: base units that a device is paid, mean over devices.
        payoff: income less costs, mean.
        size: absolute payoff, mean: what gains are measured by.
        losing: share of devices with a payoff below 0.
        worst: payoff of the device that has least.
        spent: base units that all devices are paid in a round.
        gini: inequality of incomes; none where one is negative.
        shapley: total variation between shares of income and shares by Shapley value, 0 to 1; none
            where either sums to 0 or less.
        mint: new units paid to a device or account, payments a round.
        transfer: payments between devices and accounts a round.
        burn: payments that destroy units a round.
    """

    accuracy: Values
    income: Values
    payoff: Values
    size: Values
    losing: Values
    worst: Values
    spent: Values
    gini: Known
    shapley: Known
    mint: Values
    transfer: Values
    burn: Values


class Record(_Part):
    """A rule in a suite.

    Args:
        format: of this file.
        suite: number of the suite.
        suite_hash: of its values.
        schema_version: of the runs.
        fedstake: version that made it.
        rule: name, or the bare `file.py:Class`.
        called: the rule's own name, with the names of its parts.
        file_hash: SHA-256 of its file, "" for an installed rule.
        payout: dotted keys that name the rule, its parameters and parts.
        protocol: that it was played under.
        on_tape: runs whose tape it was paid on.
        played: runs that were played for it.
        why: how many runs were played for which reason.
        honest: measures of runs without a deviation.
        gains: by variant what it gains in each cell, base units per run: a member of a group over
            itself, or k identities together over their operator as one.
    """

    format: Literal[1] = 1
    suite: Number
    suite_hash: Text
    schema_version: int
    fedstake: Text
    rule: Text
    called: Annotated[str, Field(pattern=f"^{CALLED}$")]
    file_hash: Text = ""
    payout: dict[Text, Any]
    protocol: Text
    on_tape: Number
    played: Number
    why: Annotated[dict[Text, Number], Field(max_length=100)] = {}
    honest: Honest
    gains: Annotated[dict[Text, Values], Field(max_length=1_000)]


def write_record(record: Record, path: Path) -> None:
    """Write a record as JSON that carries a hash of its own."""
    write_file(path, seal(record.model_dump(mode="json")))


def read_record(source: str | Path, suite: Suite) -> Record:
    """Read a record that may come from anybody; raise `InputError` for what does not fit the suite.

    What it says is consistent then; whether it is true is another question: see `verify`.
    """
    path = Path(os.path.expanduser(source))
    try:
        values = unseal(path, MOST_BYTES)
    except FileNotFoundError:
        raise InputError(f"{source}: no such file; fedstake bench RULE writes {ROW}") from None
    except UnreadableError as error:
        raise InputError(f"{source}: {error.reason}") from None
    record = checked(Record, values, str(source))
    _check(record, suite, str(source))
    return record


def _check(record: Record, suite: Suite, source: str) -> None:
    """Raise `ScenarioError` for a record of another suite, or with other cells and variants."""

    def wrong(key: str, value: Any, expected: str) -> ScenarioError:
        return ScenarioError(source, key, value, expected)

    if (record.suite, record.suite_hash) != (suite.version, suite.hash):
        expected = (
            f"this version has suite {suite.version} ({suite.hash}): rows of another suite are "
            "not compared; make the row again"
        )
        raise wrong("suite_hash", record.suite_hash, expected)
    if record.schema_version != SCHEMA_VERSION:
        raise wrong("schema_version", record.schema_version, f"must be {SCHEMA_VERSION}")
    known = [protocol.name for protocol in suite.protocols]
    if record.protocol not in known:
        raise wrong("protocol", record.protocol, f"must be one of {', '.join(known)}")
    wanted = [v.name for v in suite.variants(record.protocol) if v.baseline]
    if sorted(record.gains) != sorted(wanted):
        odd = sorted(set(record.gains) ^ set(wanted))
        raise wrong("gains", shown(odd[0]), "the suite has other variants")
    cells = len(suite.cells())
    columns: Mapping[str, Any] = record.honest.model_dump()
    for key, values in [
        *((f"honest.{name}", column) for name, column in columns.items()),
        *((f"gains.{name}", gains) for name, gains in record.gains.items()),
    ]:
        if len(values) != cells:
            raise wrong(key, f"{len(values)} values", f"must be one for each of {cells} cells")
    if "payout.mechanism" not in record.payout:
        raise wrong("payout", None, "must name payout.mechanism")
