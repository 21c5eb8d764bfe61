"""Random scenarios: one or two keys of a shipped scenario changed, then played and audited.

    python -m tests.mutations [--count 2000] [--seed 0]

A scenario must be refused in one line, or play with money conserved. The script prints how many
did which, and every one that did neither with the keys that were changed.
"""

from __future__ import annotations

import argparse
import copy
import signal
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic import BaseModel

from experiments.conformance.protocols import play
from experiments.loader import load_scenario, preset_names, validate
from fedstake.errors import FedstakeError, InputError
from mechanisms.failures import PluginFailedError
from sim.data import datasets
from sim.keys import choices, chosen_fields, has_key, plain, table_at
from sim.money.ledger import BURN, ISSUANCE, LedgerError
from sim.registries import protocols
from sim.scenario import Scenario
from sim.threads import single_threaded
from tests.conftest import tiny_keys

Values = dict[str, Any]
Key = tuple[str | int, ...]

CPU_SECONDS = 20
"""After so much of it a tiny scenario hangs."""
MOST_WORK = 3_000_000
"""Samples that are trained on in all; what asks for more is checked but not played."""
ODD: tuple[Any, ...] = (0, 1, -1, 2, 7, 0.5, 1e-300, 1e300, 2**31, 2**63 - 1, 2**63, -(2**63))
WRONG: tuple[Any, ...] = (float("nan"), float("inf"), True, None, "", "x", "\0", "é" * 300, [], {})


@dataclass(frozen=True)
class Change:
    """One changed key."""

    key: Key
    value: Any

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.key))} = {self.value!r:.200}"


class HangError(BaseException):
    """A scenario took more CPU time than any of its size may."""


WHOLE = {"decentralml", "vertical"}
"""Presets whose keys hang together, so that none is small: their protocols' examples are."""


def bases() -> list[Values]:
    """Return the scenarios that are changed: tiny presets and the examples of all protocols."""
    changed = [name for name in preset_names() if load_scenario(name).adversaries]
    presets = [_tiny(name) for name in changed if name not in WHOLE]
    examples = [
        validate({**plugin.example(), "protocol": plugin.name}, "example").to_dict()
        for plugin in protocols.all()
    ]
    return [*presets, *examples]


def _tiny(preset: str) -> Values:
    """Return a preset with few devices, rounds and samples."""
    shipped, keys = load_scenario(preset), tiny_keys(preset)
    if has_key(type(shipped), ["data", "initial"]):
        keys["data.initial"] = 20
    if not shipped.adversaries[0].devices:
        keys["adversaries.0.count"] = 2
    return load_scenario(preset, keys).to_dict()


def mutated(base: Values, rng: np.random.Generator) -> tuple[Values, list[Change]]:
    """Return a base with one or two of its keys changed."""
    values = copy.deepcopy(base)
    changes = []
    for _ in range(rng.integers(1, 3)):
        key, around = _pick(_keys(values, rng), rng)
        value = _pick(candidates(values, key, around, rng), rng)
        put(values, key, value)
        changes.append(Change(key, value))
    return values, changes


def leaves(values: Any, at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every key with its value, tables and lists themselves included."""
    if at:
        yield at, values
    pairs: Any = ()
    if isinstance(values, Mapping):
        pairs = values.items()
    elif isinstance(values, list):
        pairs = enumerate(values)
    for key, inner in pairs:
        yield from leaves(inner, (*at, key))


def _keys(values: Values, rng: np.random.Generator) -> list[tuple[Key, Any]]:
    """Return the keys of which one is changed: mostly single values, seldom whole tables."""
    single = [(key, now) for key, now in leaves(values) if not isinstance(now, dict | list)]
    return single if rng.random() < 0.95 else list(leaves(values))


def candidates(values: Values, key: Key, now: Any, rng: np.random.Generator) -> list[Any]:
    """Return what may be tried at a key: mostly sensible values, and odd ones."""
    sensible = [*_declared(values, key), *_near(now)]
    return sensible if sensible and rng.random() < 0.8 else [*ODD, *WRONG]


def _near(now: Any) -> list[Any]:
    """Return values close to the one that stands."""
    if isinstance(now, bool):
        return [not now]
    if isinstance(now, int):
        return [now + 1, now - 1, 2 * now, 10 * now]
    if isinstance(now, float):
        return [now / 2, now * 2, now * 0.999, now * 10]
    return []


def _declared(values: Values, key: Key) -> list[Any]:
    """Return what the key declares: names of plug-ins, choices, or bounds of a parameter."""
    protocol = protocols.get(str(values.get("protocol"))) if _named(values) else None
    if protocol is None:
        return []
    table = table_at(protocol.Scenario, [str(part) for part in key[:-1]])
    name = str(key[-1])
    if table is not None and name in table.model_fields:
        marks = chosen_fields(table)
        if name in marks:
            return list(marks[name].registry.names())
        return _literals(table, name)
    return _bounds(values, key)


def _named(values: Values) -> bool:
    return values.get("protocol") in protocols.names()


def _literals(table: type[BaseModel], name: str) -> list[Any]:
    annotation = table.model_fields[name].annotation
    found = get_args(annotation) if get_origin(annotation) is Literal else ()
    bounds = [
        getattr(mark, side)
        for mark in table.model_fields[name].metadata
        for side in ("ge", "gt", "le", "lt")
        if getattr(mark, side, None) is not None
    ]
    return [*found, *bounds]


def _bounds(values: Values, key: Key) -> list[Any]:
    """Return bounds and choices of a plug-in's parameter."""
    try:
        scenario = validate(values, "mutation")
    except FedstakeError:
        return []
    dotted = ".".join(map(str, key[:-2]))
    for choice in choices(scenario):
        if choice.key.rpartition(".")[0] == dotted:
            for parameter in choice.registry.get(choice.name).metadata()["params"]:
                if parameter["name"] == key[-1]:
                    return [*(parameter["bounds"] or {}).values(), *(parameter["choices"] or ())]
    return []


def put(values: Values, key: Key, value: Any) -> None:
    """Set a key; naming another plug-in takes the parameters of the old one away."""
    at: Any = values
    for part in key[:-1]:
        at = at[part]
    last = key[-1]
    at[last] = value
    if not isinstance(at, dict) or not isinstance(value, str):
        return
    for params in ("params", f"{last}_params"):
        if params in at and last != params and last in _namers(at):
            at[params] = {}


def _namers(table: Mapping[str, Any]) -> set[str]:
    """Return the keys of a table beside which parameters stand."""
    single = {"rule", "name", "dataset", "mechanism", "part", "verifier", "strategy"}
    return single & table.keys() | {k.removesuffix("_params") for k in table if "_params" in k}


def outcome(values: Values) -> str:
    """Play a scenario: return "refused", "failed", "long" or "played".

    Raises AssertionError where money is not conserved or a refusal has more than one line, and
    whatever a crash raises.
    """
    try:
        scenario = validate(values, "mutation")
    except InputError as error:
        _one_line(error)
        return "refused"
    if work(scenario) > MOST_WORK:
        return "long"
    try:
        tables = _limited(scenario)
    except FedstakeError as error:
        # A rule may ask for more money than there can be; nothing else of the house's may fail.
        if isinstance(error, PluginFailedError) and not isinstance(error.__cause__, LedgerError):
            raise
        _one_line(error)
        return "failed"
    _audit(tables["journal"].to_pylist())
    return "played"


def work(scenario: Scenario) -> int:
    """Return how many samples would be trained on, rounds and devices counted."""
    keys = plain(scenario.to_dict())
    samples = 1
    if "data" in keys:
        train, test = _samples(keys["data"])
        samples = train + test
        if keys.get("market", {}).get("rule") == "prediction-market":
            # It predicts the whole test set after every datum; a prediction is quick.
            samples += train * test // 100
    epochs = keys["training"]["epochs"] + 1 if "training" in keys else 1
    return scenario.rounds * max(scenario.devices * 200, samples * epochs)


def _samples(data: Values) -> tuple[int, int]:
    """Return how many samples a data set generates to train and to test; a guess if it reads."""
    params = datasets.create(data["dataset"], data["params"]).params
    return getattr(params, "train", 2_000), getattr(params, "test", 1_000)


def _limited(scenario: Scenario) -> Any:
    """Play within the limit of CPU time."""

    def stop(*_: object) -> None:
        raise HangError(f"took more than {CPU_SECONDS} CPU seconds")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        return play(scenario)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _one_line(error: FedstakeError) -> None:
    message = str(error)
    assert message, "an error without a word"
    assert "\n" not in message, f"an error of several lines: {message!r}"


def _audit(journal: list[Values]) -> None:
    """Check that no account is ever overdrawn and nothing appears from nowhere."""
    held: Counter[tuple[str, str]] = Counter()
    for entry in journal:
        asset, amount = entry["asset"], entry["amount"]
        assert amount >= 0, entry
        held[asset, entry["debit"]] -= amount
        held[asset, entry["credit"]] += amount
        if entry["debit"] not in (ISSUANCE, BURN):
            assert held[asset, entry["debit"]] >= 0, entry
    assert not sum(held.values())


def _pick(of: list[Any], rng: np.random.Generator) -> Any:
    return of[rng.integers(len(of))]


def search(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Try so many scenarios; return how many did what, and the faults."""
    rng = np.random.default_rng(seed)
    known = bases()
    done: Counter[str] = Counter()
    faults = []
    for number in range(count):
        values, changes = mutated(known[number % len(known)], rng)
        try:
            done[outcome(values)] += 1
        except (Exception, HangError) as error:
            done["fault"] += 1
            told = "; ".join(map(str, changes))
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename}:{last.lineno}"
            what = f"{type(error).__name__}: {error} ({where})"
            faults.append(f"{values.get('protocol')}: {told}: {what}")
    return done, faults


def main() -> None:
    """Run the search from the command line; exit 1 where a fault was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    single_threaded()
    done, faults = search(args.count, args.seed)
    print(", ".join(f"{number} {what}" for what, number in done.most_common()))
    print("\n".join(faults))
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
