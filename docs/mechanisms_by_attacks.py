"""Every payout rule against every attack, on digits.

    python docs/mechanisms_by_attacks.py [--seeds 5] [--workers N]

Writes `docs/reference/mechanisms-by-attacks.md` and its numbers beside the other reference results.
3 of 20 devices attack. What they do to the model does not depend on who is paid, but whether they
are drawn, shut out or slashed may.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from fedstake import RunFailure, RunResult, load_scenario, run_many
from mechanisms import registries as rules
from sim.scenario import Scenario

HERE = Path(__file__).parent
PAGE = HERE / "reference" / "mechanisms-by-attacks.md"
NUMBERS = HERE.parent / "results" / "reference" / "mechanisms-by-attacks.csv"
STAKE = 60_000
ADVERSARIES, HONEST = 3, "nobody"
SETTINGS = {"payout.initial_balance": STAKE, "costs.compute_per_s": 20.0}
"""Computing costs something, or idling would gain nothing."""
CONCEDE = 50
"""What honest workers pay who are threatened."""

ATTACKS: dict[str, dict[str, Any]] = {
    "nobody": {"worker": "honest"},
    "gaussian-noise": {"worker": "gaussian-noise"},
    "sign-flip": {"worker": "sign-flip"},
    "label-flip": {"worker": "label-flip"},
    "alie": {"worker": "alie"},
    "free-ride-zero": {"worker": "free-ride-zero"},
    "overstate": {"worker": "overstate"},
    "lying validators": {"worker": "honest", "validator": "flip"},
    "colluders": {"worker": "gaussian-noise", "validator": "collude"},
    "extortionists": {"worker": "honest", "validator": "extort", "validator_params": {"price": 50}},
    "bribers": {"worker": "gaussian-noise", "validator": "bribable", "bribe": 100},
    "whitewashers": {"worker": "gaussian-noise", "spares": 2, "count": 5, "roles": "10,5,3"},
    "sybils": {"worker": "honest", "validator": "collude", "identities": "split"},
}
PARTS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "flat + slashing": ("flat", {"slashing": {"stake": 10_000}}),
    "flat + reputation": ("flat", {"reputation": {}}),
    "equal-share + identity-cost": ("equal-share", {"identity-cost": {"cost": 5_000}}),
}
"""Rules with parts around them."""
PARAMS: dict[str, dict[str, Any]] = {
    "coordinator": {
        "stake": 20_000,
        "bond": 20_000,
        "pot": 10_000,
        "fee": 500,
        "challenge_deposit": 1_000,
    },
    "equal-share": {"pool": 150_000, "deadline": 15, "stake": 1_000},
    "decentralml": {"pool": 150_000},
    "shapley": {"exact_up_to": 8, "permutations": 10},
}


def mechanisms() -> list[str]:
    return sorted([*rules.payouts.names(), *PARTS])


def scenario(mechanism: str, attack: str, seed: int) -> Scenario:
    group = {"name": "adversaries", "count": ADVERSARIES, **ATTACKS[attack]}
    roles = group.pop("roles", "12,5,3")
    rule, parts = PARTS.get(mechanism, (mechanism, {}))
    changes = {
        "name": f"{mechanism}-{attack}".replace(" ", "-").replace("+", "and"),
        "seed": seed,
        "payout.mechanism": rule,
        "payout.params": PARAMS.get(rule, {}),
        "payout.parts": [{"part": name, "params": params} for name, params in parts.items()],
        **SETTINGS,
        "adversaries": [group],
    }
    if group.get("validator") == "extort":
        changes |= {"costs.concede": CONCEDE}
    if rule == "coordinator":
        changes |= {"protocol": "coordinator"}
    else:
        changes |= {"roles.params.counts": roles}
    return load_scenario("digits-quick", changes)


def measure(run: RunResult, honest: RunResult) -> dict[str, float]:
    """What a run came to, beside the one of the same mechanism and seed in which nobody attacks.

    Payoffs are utilities over the run. `gain` is what the attackers have more, per operator, than
    the devices whose place they take have honestly: all members of a group; of sybils and
    whitewashers, who share the samples and the money of fewer, those.
    """
    r, people = run.rounds, run.participants
    payoff = people.groupby("device")["utility"].sum()
    bad = sorted(set(people.loc[people["adversary"], "device"]))
    rejected = int(r["rejected_honest"].sum())
    group = run.settings["adversaries"][0]
    places = bad[:1] if group["identities"] != "own" else bad[: len(bad) - group["spares"]]
    before = honest.participants.groupby("device")["utility"].sum()
    return {
        "accuracy": float(r["accuracy"].iloc[-1]),
        "honest": float(payoff.drop(bad).mean()),
        "adversaries": float(payoff[bad].sum() / len(places)) if bad else float("nan"),
        "gain": float((payoff[bad].sum() - before[places].sum()) / len(places))
        if bad
        else float("nan"),
        "honest rejected": rejected / max(1, rejected + int(r["accepted_honest"].sum())),
        "spent": float(_to_devices(run)),
    }


def _to_devices(run: RunResult) -> int:
    """Return what all devices together got from the rule less what they paid, in base units."""
    entries = run.journal[run.journal["reason"] != "initial"]
    got = entries[entries["credit"].astype(str).str.startswith("device:")]["amount"].sum()
    return int(
        got - entries[entries["debit"].astype(str).str.startswith("device:")]["amount"].sum()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", default="results/mechanisms-by-attacks")
    args = parser.parse_args()
    cells = [(m, a, s) for m in mechanisms() for a in ATTACKS for s in range(args.seeds)]
    done = 0

    def tell(_: Any) -> None:
        nonlocal done
        done += 1
        if done % 50 == 0:
            print(f"{done}/{len(cells)}", flush=True)

    outcomes = run_many(
        [scenario(*cell) for cell in cells], args.out, workers=args.workers, on_done=tell
    )
    found: dict[tuple[str, str, int], RunResult] = {}
    for cell, outcome in zip(cells, outcomes, strict=True):
        if isinstance(outcome, RunFailure):
            raise SystemExit(f"{cell}: {outcome.error}")
        found[cell] = outcome
    rows = [
        {"mechanism": m, "attack": a, "seed": s, **measure(outcome, found[m, HONEST, s])}
        for (m, a, s), outcome in found.items()
    ]
    table = pd.DataFrame(rows)
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(NUMBERS, index=False, float_format="%.6g")
    PAGE.write_text(page(table, args.seeds), encoding="utf-8")


INTRODUCTION = """# Mechanisms by attacks

Made by `python docs/mechanisms_by_attacks.py`: preset `digits-quick` (20 devices, 12/5/3,
15 rounds, threshold 0.08), {seeds} seeds, 3 of 20 devices attack, {stake:,} base units each at the
start, computing costs 20 base units per second, honest workers pay extortionists up to 50 a vote.
[All numbers](../../results/reference/mechanisms-by-attacks.csv).

- **Payoffs** are utilities per device and run: all that came in less all that went out, stakes lost
  and costs of computing included; of attackers per operator.
- **Gain** is what attackers have more than the same devices have when nobody attacks, paired by
  seed, with a 95 % interval (Student). Bold: the rule **fails**, the whole interval is above zero.
  Sybils are one operator with three identities that share one device's samples and money;
  whitewashers are three with two identities in reserve.
- **Spent** is what all devices together got from the rule, less what they paid.
- `coordinator` runs under its own protocol, with a committee of 5 that errs once in 20. A + B is
  rule A with part B.

Where no gain is found, the interval says how sure that is: a rule is not proved safe by an attack
that fails, and other parameters may gain where these do not.
"""


def page(table: pd.DataFrame, seeds: int) -> str:
    lines = INTRODUCTION.format(seeds=seeds, stake=STAKE).splitlines()
    for attack in ATTACKS:
        bad = attack != HONEST
        lines += ["", f"## {attack[0].upper()}{attack[1:]}", ""]
        lines.append(
            "| mechanism | accuracy | honest payoff |"
            + (" attackers' payoff | gain |" if bad else "")
            + " honest rejected | spent |"
        )
        lines.append("|---|---|---|---|---|" + ("---|---|" if bad else ""))
        for mechanism in mechanisms():
            c = table[(table["mechanism"] == mechanism) & (table["attack"] == attack)]
            mean = c.drop(columns=["mechanism", "attack", "seed"]).mean()
            attackers = (
                f" {mean['adversaries']:,.0f} | {gain(c['gain'].to_numpy())} |" if bad else ""
            )
            lines.append(
                f"| {mechanism} | {mean['accuracy']:.3f} | {mean['honest']:,.0f} |{attackers}"
                f" {mean['honest rejected']:.0%} | {mean['spent']:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def gain(values: np.ndarray) -> str:
    """Mean and 95 % interval, bold when all of it is above zero."""
    mean = values.mean()
    half = (
        stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        if len(values) > 1
        else float("inf")
    )
    text = f"{mean:+,.0f} ± {half:,.0f}"
    return f"**{text}**" if mean - half > 0 else text


if __name__ == "__main__":
    main()
