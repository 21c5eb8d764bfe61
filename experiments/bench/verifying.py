"""Check a row that somebody else made: play a random part of it again."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.audits.certificate import SAME, VerifyError
from experiments.bench.making import (
    Accounts,
    Asked,
    Bench,
    Place,
    Shares,
    ask,
    gain,
    honest_cell,
)
from experiments.bench.record import Record, read_record
from experiments.bench.suite import HONEST, Suite, Variant
from experiments.foreign import file_hash, leaves
from experiments.loader import locate
from fedstake.errors import InputError
from fedstake.outside import shown


@dataclass(frozen=True)
class Checked:
    """What `verify_row` did: the record, how many values were played again, the draw's seed."""

    record: Record
    played: int
    seed: int


def verify_row(
    source: Path, bench: Bench, *, sample: int, seed: int | None = None, trust: bool = False
) -> Checked:
    """Play some cells of a row again, in runs of their own and never on tapes.

    Args:
        source: a row's file, from anybody; a rule by path is looked for beside it.
        bench: plays runs.
        sample: values that are played again, drawn at random: measures of honest runs, or gains.
        seed: of that draw; by default nobody knows it before.
        trust: the user says that the file of the rule may be imported.

    Raises `VerifyError` for a value that is not what was played, `InputError` for what cannot be
    checked here.
    """
    record = read_record(source, bench.suite)
    asked = _asked(record, source, bench.suite, trust=trust)
    drawn = secrets.randbelow(2**32) if seed is None else seed
    variants = [HONEST, *record.gains]
    pairs = [(name, at) for name in variants for at in range(len(bench.suite.cells()))]
    chosen = np.random.default_rng(drawn).permutation(len(pairs))[:sample].tolist()
    known = {v.name: v for v in bench.suite.variants(record.protocol)}
    values = [(known[name], at) for name, at in (pairs[i] for i in sorted(chosen))]
    played = _play(asked, bench, known, values)
    for variant, at in values:
        _check(record, bench, known, variant, at, played, str(source))
    return Checked(record, len(chosen), drawn)


def _asked(record: Record, source: Path, suite: Suite, *, trust: bool) -> Asked:
    """Return the rule of a record; refuse files that nobody has said to trust."""
    texts = [value for _, value in leaves(record.payout) if isinstance(value, str)]
    by_path = [text for text in texts if ".py" in text]
    if by_path and not trust:
        raise InputError(
            f"{source}: payout names {shown(by_path[0])}: a plug-in file, imported only with "
            "--trust"
        )
    payout: dict[str, Any] = dict(record.payout)
    locate(payout, source.parent)
    rule = payout.pop("payout.mechanism")
    asked = ask(str(rule), suite, payout)
    if file_hash(asked.rule) != record.file_hash:
        raise VerifyError(f"{source}: file_hash: is not that of {shown(record.rule)}")
    if (asked.called, asked.protocol.name) != (record.called, record.protocol):
        raise VerifyError(
            f"{source}: called, protocol: the rule is {asked.called}, played under "
            f"{asked.protocol.name}"
        )
    return asked


def _play(
    asked: Asked, bench: Bench, known: Mapping[str, Variant], values: Sequence[tuple[Variant, int]]
) -> tuple[Accounts, Shares]:
    """Play what some values come from, each place once."""
    places: dict[Place, None] = {}
    for variant, at in values:
        cell = bench.suite.cells()[at]
        if variant.kind != "honest":
            places[cell, known[variant.baseline]] = None
        places[cell, variant] = None
    return bench.play(asked, list(places))


def _check(
    record: Record,
    bench: Bench,
    known: Mapping[str, Variant],
    variant: Variant,
    at: int,
    played: tuple[Accounts, Shares],
    source: str,
) -> None:
    """Compare one value with what was played; raise `VerifyError` where it is another one."""
    accounts, shapley = played
    cell = bench.suite.cells()[at]
    if variant.kind == "honest":
        found = honest_cell(accounts[cell, variant], shapley[cell])
        for key, value in found.items():
            _compare(getattr(record.honest, key)[at], value, f"honest.{key}, {cell}", source)
        return
    value = gain(variant, accounts[cell, known[variant.baseline]], accounts[cell, variant])
    name = variant.name
    _compare(record.gains[name][at], value, f"gains.{name}, {cell}", source)


def _compare(stated: float | None, found: float | None, where: str, source: str) -> None:
    same = stated == found
    if stated is not None and found is not None:
        same = abs(stated - found) <= SAME * max(1.0, abs(found))
    if not same:
        raise VerifyError(f"{source}: {where}: states {stated}, played again it is {found}")
